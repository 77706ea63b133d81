"""What is missing between the planes of a series, as sentences.

Only what cannot well be anything else is called a gap: parallel planes in one row, three fifths of the steps
equal, and a step that is a whole multiple of them. Localizers, time series, stacks beside each other and
protocols that change their spacing have none.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Vector = tuple[float, float, float]
Cosines = tuple[float, float, float, float, float, float]
Floats = NDArray[np.float64]

_SAME_COSINE = 5e-3  # planes of one stack differ less, localizers and radial planes more
_SAME_POSITION_MM = 0.01  # CONVERSION: repeated positions
_SAME_STEP = 0.1  # of the step: rounding of positions adds up over several missing planes
# Positions in tenths of a mm make steps that differ by one, more than a tenth of thin slices' step.
_ROUNDED_STEP_MM = 0.11
_LARGEST_ROUNDED = 0.3  # of the step: beyond it, steps that differ so are no longer one step
_LARGEST_MM = 1e5  # 100 m: a number beyond it is no position
_LONGEST_RUN = 2  # more wide steps one after another are another spacing, chosen by the protocol
_FEWEST_STEPS = 3  # fewer than four planes have no usual step
_NAMED = 5  # gaps named one by one; the others are counted


class PlaneEvidence(Protocol):
    """Where an instance lies in the patient, as far as its header says so."""

    @property
    def position_lps(self) -> Vector | None:
        """Image Position (Patient), mm."""

    @property
    def orientation_lps(self) -> Cosines | None:
        """Image Orientation (Patient), row cosines then column cosines."""


def missing_planes(planes: Sequence[PlaneEvidence]) -> tuple[str, ...]:
    """Return a sentence for each gap between parallel planes; empty where there is none.

    Parameters
    ----------
    planes
        In any order; planes without a usable position or orientation are no evidence.

    Returns
    -------
    tuple of str
        Places are offsets along the normal of the planes, in mm (PS3.3 C.7.6.2.1.1).
    """
    placed = sorted(
        (plane.orientation_lps, plane.position_lps)
        for plane in planes
        if plane.orientation_lps is not None
        and plane.position_lps is not None
        and _usable(plane.orientation_lps, 2.0)
        and _usable(plane.position_lps, _LARGEST_MM)
    )
    sentences: list[str] = []
    for normal, positions in _stacks(placed):
        stack, repeats = _distinct(positions, positions @ normal)
        gaps = _gaps(stack, stack @ normal)
        sentences += gaps or _fewer_repeats(repeats, stack @ normal)
    if len(sentences) > _NAMED:
        sentences[_NAMED:] = [f"And {len(sentences) - _NAMED} more gaps."]
    return tuple(sentences)


def _usable(values: Sequence[float], largest: float) -> bool:
    return all(abs(value) <= largest for value in values)  # False for NaN too


def _stacks(placed: Sequence[tuple[Cosines, Vector]]) -> list[tuple[Floats, Floats]]:
    """Return (unit normal, positions) of each group of parallel planes; the input is sorted."""
    representatives: list[Cosines] = []
    members: list[list[tuple[Cosines, Vector]]] = []
    group_of: dict[Cosines, int] = {}
    for orientation, position in placed:
        if orientation not in group_of:
            near = _near(representatives, orientation)
            group_of[orientation] = near if near is not None else len(representatives)
            if near is None:
                representatives.append(orientation)
                members.append([])
        members[group_of[orientation]].append((orientation, position))
    return [stack for group in members if (stack := _stack(group)) is not None]


def _near(representatives: Sequence[Cosines], orientation: Cosines) -> int | None:
    """Return the index of the first representative that is parallel to an orientation."""
    if not representatives:
        return None
    away = np.abs(np.asarray(representatives) - np.asarray(orientation)).max(axis=1)
    near = np.flatnonzero(away <= _SAME_COSINE)
    return int(near[0]) if near.size else None


def _stack(group: Sequence[tuple[Cosines, Vector]]) -> tuple[Floats, Floats] | None:
    """Return the mean unit normal and the positions of parallel planes, or None where they are no planes."""
    mean = np.mean([orientation for orientation, _ in group], axis=0)
    normal = np.cross(mean[:3], mean[3:])
    length = float(np.linalg.norm(normal))
    if length < 0.5:  # the two directions span no plane
        return None
    return normal / length, np.asarray([position for _, position in group])


def _distinct(positions: Floats, offsets: Floats) -> tuple[Floats, list[int]]:
    """Return one position of each offset along the normal, sorted by it, and how often each occurs."""
    order = np.lexsort((positions[:, 2], positions[:, 1], positions[:, 0], offsets))
    first: list[int] = []
    repeats: list[int] = []
    for index in order:
        if first and offsets[index] - offsets[first[-1]] <= _SAME_POSITION_MM:
            repeats[-1] += 1
        else:
            first.append(int(index))
            repeats.append(1)
    return positions[first], repeats


def _gaps(stack: Floats, offsets: Floats) -> list[str]:
    """Return a sentence for each step that is a whole multiple of the usual step, in space and in one row."""
    vectors = np.diff(stack, axis=0)
    if len(vectors) < _FEWEST_STEPS:
        return []
    widths = np.diff(offsets)
    median = np.sort(widths)[(len(widths) - 1) // 2]
    usual = np.abs(widths - median) <= _step_tolerance_mm(median)
    step_mm = float(widths[usual].mean())
    multiples = np.rint(widths / step_mm).astype(int)
    away = np.abs(vectors - multiples[:, None] * vectors[usual].mean(axis=0)).max(axis=1)
    multiples[away > _step_tolerance_mm(step_mm)] = 0  # no whole multiple, or not in the same row
    if not are_missing(multiples.tolist()):
        return []
    return [
        _gap_sentence(int(multiples[i]) - 1, float(offsets[i]), float(offsets[i + 1]), step_mm)
        for i in np.flatnonzero(multiples > 1)
    ]


def _step_tolerance_mm(step_mm: float) -> float:
    return max(_SAME_STEP * step_mm, min(_ROUNDED_STEP_MM, _LARGEST_ROUNDED * step_mm))


def are_missing(multiples: Sequence[int]) -> bool:
    """Whether steps, as multiples of the usual one (0: no multiple), tell of missing planes.

    The plan of a volume asks the same question, so that what waits as a gap and what is refused as one agree.
    """
    ones, wide = multiples.count(1), any(multiple > 1 for multiple in multiples)
    usual = len(multiples) >= _FEWEST_STEPS and ones * 5 >= 3 * len(multiples)
    return wide and usual and _longest_run(multiples) <= _LONGEST_RUN


def _longest_run(multiples: Sequence[int]) -> int:
    """Return how many equal wide steps follow each other at most."""
    longest = run = 0
    for before, multiple in pairwise([0, *multiples]):
        run = 0 if multiple < 2 else run + 1 if multiple == before else 1
        longest = max(longest, run)
    return longest


def _gap_sentence(count: int, before_mm: float, after_mm: float, step_mm: float) -> str:
    slices = "1 slice is" if count == 1 else f"{count} slices are"
    place = f"between {_millimetres(before_mm)} and {_millimetres(after_mm)} along the normal"
    return f"{slices} missing {place}; the usual step is {_millimetres(step_mm)}."


def _fewer_repeats(repeats: Sequence[int], offsets: Floats) -> list[str]:
    """Return a sentence if a few positions occur less often than two thirds of them do (a cut time series)."""
    usual, how_many = max(Counter(repeats).items(), key=lambda item: (item[1], item[0]))
    fewer = [index for index, count in enumerate(repeats) if count < usual]
    if usual < 2 or not fewer or how_many * 3 < 2 * len(repeats):
        return []
    missing = sum(usual - repeats[index] for index in fewer)
    place = f"the first at {_millimetres(float(offsets[fewer[0]]))} along the normal"
    occur = f"{how_many} positions occur {usual} times each, but {len(fewer)} less often ({place})"
    return [f"{occur}; missing instances: {missing}."]


def _millimetres(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f} mm"  # + 0.0: never "-0.00"
