"""Positions that repeat within a stack: a slice sent twice, or another dimension (time, diffusion, phase)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import TYPE_CHECKING

from processing.frames import FrameHeader

if TYPE_CHECKING:
    from processing.stacks import Stack

Value = Callable[[FrameHeader], Hashable]
Number = Callable[[FrameHeader], float | str | None]

# What tells two images of one place apart; instances that agree in all of it are the same image sent twice,
# unless their pixels say otherwise.
_IDENTIFYING = attrgetter(
    "temporal_position",
    "trigger_time_ms",
    "frame_reference_time_ms",
    "acquisition_number",
    "acquisition_datetime",
    "b_value",
    "gradient_direction",
    "rescale_slope",
    "rescale_intercept",
    "bits_stored",
    "pixel_representation",
    "image_type",
)


def _preference(header: FrameHeader) -> tuple[bool, int, str]:
    number = header.instance_number
    return number is None, number or 0, header.sop_instance_uid


def find_twins(stack: Stack) -> dict[int, tuple[int, ...]] | None:
    """Return which slices look like others sent again, or None if a place holds truly different images.

    Returns
    -------
    dict
        Index of the slice that is kept (the lowest Instance Number, then UID) to those that repeat it. Headers
        alone cannot prove it: whoever reads the pixels has to compare them.
    """
    twins: dict[int, tuple[int, ...]] = {}
    everywhere = all(len(place) > 1 for place in stack.places)
    for place in stack.places:
        members = [stack.headers[index] for index in place]
        if len({_IDENTIFYING(member) for member in members}) > 1:
            return None
        if everywhere and len({member.instance_number for member in members}) > 1:
            return None
        kept, *others = sorted(place, key=lambda index: _preference(stack.headers[index]))
        if others:
            twins[kept] = tuple(others)
    return twins


def separating_attribute(stack: Stack) -> str | None:
    """Return the first attribute that makes every (place, value) unique and complete, or None.

    The candidates stand in the order in which they are trusted: what numbers the volumes, what describes them,
    and last the order in which they were made or numbered.
    """
    repeats = {len(place) for place in stack.places}
    if len(repeats) != 1:
        return None
    for keyword, value in _SHARED_VALUES:
        if _same_values_everywhere(stack, value):
            return keyword
    for keyword, number in _RANKED_NUMBERS:
        if _distinct_everywhere(stack, number):
            return keyword
    return "InstanceNumber" if _blocks_of_instance_numbers(stack) else None


def _diffusion(header: FrameHeader) -> Hashable:
    return header.b_value or 0.0, header.gradient_direction


_SHARED_VALUES: tuple[tuple[str, Value], ...] = (
    ("TemporalPositionIdentifier", attrgetter("temporal_position")),
    ("DiffusionBValue", _diffusion),
    ("TriggerTime", attrgetter("trigger_time_ms")),
    ("AcquisitionNumber", attrgetter("acquisition_number")),
    ("AcquisitionDateTime", lambda header: header.acquisition_datetime or None),
    ("FrameReferenceTime", attrgetter("frame_reference_time_ms")),
)
_RANKED_NUMBERS: tuple[tuple[str, Number], ...] = (
    ("TriggerTime", attrgetter("trigger_time_ms")),
    ("AcquisitionDateTime", lambda header: header.acquisition_datetime or None),
    ("FrameReferenceTime", attrgetter("frame_reference_time_ms")),
)


def _same_values_everywhere(stack: Stack, value: Value) -> bool:
    first: set[Hashable] | None = None
    for place in stack.places:
        values = {value(stack.headers[index]) for index in place}
        if None in values or len(values) != len(place) or (first is not None and values != first):
            return False
        first = values
    return True


def _distinct_everywhere(stack: Stack, number: Number) -> bool:
    for place in stack.places:
        values = {number(stack.headers[index]) for index in place}
        if None in values or len(values) != len(place):
            return False
    return True


def _blocks_of_instance_numbers(stack: Stack) -> bool:
    """Whether the instance numbers run through all places volume by volume, or through all volumes place by place."""
    place_of = {index: number for number, place in enumerate(stack.places) for index in place}
    numbered = [(header.instance_number, index) for index, header in enumerate(stack.headers)]
    if any(number is None for number, _ in numbered) or len({number for number, _ in numbered}) < len(
        numbered
    ):
        return False
    places = [place_of[index] for _, index in sorted(numbered, key=lambda pair: pair[0] or 0)]
    count, repeats = len(stack.places), len(places) // len(stack.places)
    volumes = [places[start : start + count] for start in range(0, len(places), count)]
    runs = [places[start : start + repeats] for start in range(0, len(places), repeats)]
    return all(len(set(volume)) == count for volume in volumes) or all(len(set(run)) == 1 for run in runs)
