"""Stacks: the slices of a series that could lie on one grid.

The order of the splits is fixed, and each looks only at values, so that the order of arrival never matters.
What is not looked at is as deliberate: exposure, tube current, acquisition number, signedness, bits stored and
times differ within perfectly good volumes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import numpy as np

from processing.frames import FrameHeader
from processing.geometry import (
    SMALLEST_TOLERANCE_MM,
    Floats,
    mean_axes,
    measure_spacing,
    tolerance_mm,
)

SAME_COSINE = 1e-3
SAME_SPACING = 1e-4  # relative
SAME_ECHO_TIME_MS = 0.1
_ALWAYS_EVEN = 2  # so few slices have one step, whatever it is

_COMPONENTS = {"M": "magnitude", "P": "phase", "R": "real", "I": "imaginary"}
_COMPONENT_WORDS = {
    "MAGNITUDE": "magnitude",
    "PHASE": "phase",
    "PHASE MAP": "phase",
    "REAL": "real",
    "IMAGINARY": "imaginary",
}

Headers = Sequence[FrameHeader]


@dataclass(frozen=True, slots=True)
class Stack:
    """Parallel slices, sorted along their mean normal."""

    headers: tuple[FrameHeader, ...]
    positions_lps: Floats
    """(n, 3), in the order of `headers`."""
    row_cosine: Floats
    column_cosine: Floats
    normal: Floats
    places: tuple[tuple[int, ...], ...]
    """Indices into `headers` of the slices at each distinct offset along the normal."""


def image_class(header: FrameHeader) -> str:
    """Return what kind of image it is: ``localizer``, or ``original`` or ``derived`` with its component."""
    if header.is_localizer:
        return "localizer"
    origin = "derived" if _is_derived(header) else "original"
    component = _component(header)
    return f"{origin} {component}" if component else origin


def _component(header: FrameHeader) -> str:
    words = (header.complex_component, *header.image_type[2:])
    for word in words:
        if word in _COMPONENT_WORDS:
            return _COMPONENT_WORDS[word]
        initial, _, rest = word.partition("_")
        if initial in _COMPONENTS and (not rest or rest in {"SE", "FFE", "IR", "TSE", "PCA", "B0", "B1"}):
            return _COMPONENTS[initial]
    return ""


def split_stacks(headers: Headers) -> list[list[FrameHeader]]:
    """Return the groups of slices that could lie on one grid; each header is in exactly one.

    Parameters
    ----------
    headers
        Usable slices (see `processing.selection`) in any order.
    """
    groups = [sorted(headers, key=lambda header: header.sop_instance_uid)]
    for split in _SPLITS:
        groups = [part for group in groups for part in split(group) if part]
    return groups


def _split_equal(key: Callable[[FrameHeader], Hashable], headers: Headers) -> list[list[FrameHeader]]:
    groups: dict[Hashable, list[FrameHeader]] = {}
    for header in headers:
        groups.setdefault(key(header), []).append(header)
    return list(groups.values())


def _split_near(
    value: Callable[[FrameHeader], tuple[float, ...]],
    near: Callable[[Floats, Floats], bool],
    headers: Headers,
) -> list[list[FrameHeader]]:
    # Each group is led by its smallest value, found in sorted order: independent of the order of the headers.
    leaders: list[tuple[float, ...]] = []
    leader_of: dict[tuple[float, ...], int] = {}
    for candidate in sorted({value(header) for header in headers}):
        matches = (
            index
            for index, leader in enumerate(leaders)
            if len(leader) == len(candidate) and near(np.asarray(leader), np.asarray(candidate))
        )
        index = next(matches, len(leaders))
        if index == len(leaders):
            leaders.append(candidate)
        leader_of[candidate] = index
    return _split_equal(lambda header: leader_of[value(header)], headers)


def _matrix(header: FrameHeader) -> Hashable:
    one_series = header.series_instance_uid, header.sop_class_uid
    return one_series, header.rows, header.columns, header.samples_per_pixel


def _orientation(header: FrameHeader) -> tuple[float, ...]:
    return header.orientation_lps or ()


def _pixel_spacing(header: FrameHeader) -> tuple[float, ...]:
    return header.row_spacing_mm or 0.0, header.column_spacing_mm or 0.0


def _echo_time(header: FrameHeader) -> tuple[float, ...]:
    return () if header.echo_time_ms is None else (header.echo_time_ms,)


def _echo_number(header: FrameHeader) -> tuple[int, ...]:
    return () if header.echo_number is None else (header.echo_number,)


def _nothing(_: FrameHeader) -> None:
    """Tells nothing: coils may change from slice to slice, so even two that are named split only repeats."""


def _near_cosines(a: Floats, b: Floats) -> bool:
    return bool(np.abs(a - b).max() <= SAME_COSINE)


def _near_spacing(a: Floats, b: Floats) -> bool:
    return bool(np.all(np.abs(a - b) <= SAME_SPACING * a))


def _near_echo_time(a: Floats, b: Floats) -> bool:
    return bool(np.all(np.abs(a - b) <= SAME_ECHO_TIME_MS))


def _split_told(
    told: Callable[[FrameHeader], object],
    split: Callable[[Headers], list[list[FrameHeader]]],
    headers: Headers,
) -> list[list[FrameHeader]]:
    """Return the parts of a split, or all as one where only some slices tell the attribute and all lie in one row.

    Real volumes have slices whose type, echo or stack is left out, and derived slices between original ones.
    """
    parts = split(headers)
    telling = sum(bool(told(part[0])) for part in parts)
    return [list(headers)] if telling <= 1 < len(parts) and _lie_in_one_row(parts) else parts


def _lie_in_one_row(parts: Sequence[Headers]) -> bool:
    part_of = {header.sop_instance_uid: number for number, part in enumerate(parts) for header in part}
    stack = arrange_stack([header for part in parts for header in part])
    if len(stack.places) < len(stack.headers):
        return False
    numbers = [part_of[header.sop_instance_uid] for header in stack.headers]
    runs = 1 + sum(before != after for before, after in itertools.pairwise(numbers))
    # Parts that lie between each other would, apart, look like volumes of wider steps.
    if runs > len(parts):
        return True
    spacing = measure_spacing(stack.positions_lps, stack.normal)
    even = set(spacing.multiples) == {1} and spacing.residual_mm <= spacing.tolerance_mm
    return even and len(stack.headers) > _ALWAYS_EVEN


def _is_derived(header: FrameHeader) -> bool:
    return header.image_type[:1] == ("DERIVED",)


_SPLITS: tuple[Callable[[Headers], list[list[FrameHeader]]], ...] = (
    partial(_split_equal, _matrix),
    partial(_split_near, _orientation, _near_cosines),
    partial(_split_near, _pixel_spacing, _near_spacing),
    partial(_split_equal, attrgetter("is_localizer")),
    partial(
        _split_told,
        attrgetter("frame_of_reference_uid"),
        partial(_split_equal, attrgetter("frame_of_reference_uid")),
    ),
    partial(_split_told, _component, partial(_split_equal, _component)),
    partial(_split_told, _echo_number, partial(_split_equal, _echo_number)),
    partial(_split_told, _echo_time, partial(_split_near, _echo_time, _near_echo_time)),
    partial(_split_told, attrgetter("stack_id"), partial(_split_equal, attrgetter("stack_id"))),
    partial(_split_told, _nothing, partial(_split_equal, attrgetter("coil_element"))),
    partial(_split_told, _is_derived, partial(_split_equal, _is_derived)),
)


def arrange_stack(headers: Headers) -> Stack:
    """Return one group's slices sorted along their mean normal, with the distinct places they take."""
    orientations = np.asarray([header.orientation_lps for header in headers], dtype=np.float64)
    row, column = mean_axes(orientations)
    normal = np.cross(row, column)
    positions = np.asarray([header.position_lps for header in headers], dtype=np.float64)
    offsets = positions @ normal
    order = sorted(range(len(headers)), key=lambda index: (offsets[index], headers[index].sop_instance_uid))
    return Stack(
        headers=tuple(headers[index] for index in order),
        positions_lps=positions[order],
        row_cosine=row,
        column_cosine=column,
        normal=normal,
        places=_places(offsets[order]),
    )


def _places(offsets: Floats) -> tuple[tuple[int, ...], ...]:
    """Return the indices at each distinct offset of a sorted array: tolerance 1 % of the step, at least 0.01 mm."""
    gaps = np.diff(offsets)
    apart = gaps[gaps > SMALLEST_TOLERANCE_MM]
    limit = tolerance_mm(float(np.median(apart))) if apart.size else SMALLEST_TOLERANCE_MM
    starts = [0, *(np.flatnonzero(gaps > limit) + 1).tolist(), len(offsets)]
    return tuple(tuple(range(first, last)) for first, last in itertools.pairwise(starts))
