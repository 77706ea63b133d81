"""Findings: what is true of the input and does not stop the work, as values in a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processing.errors import ProcessingError


class FindingCode(StrEnum):
    """Why instances were left out of every volume, or what to know of the volume they are in."""

    # instances left out
    NO_PIXEL_DATA = "no-pixel-data"
    NOT_SUPPORTED = "not-supported"
    TILED = "tiled-frames"  # a Siemens mosaic or a UIH tiled grid: one frame holds many slices
    COLOUR = "colour"
    NO_GEOMETRY = "no-geometry"
    BAD_ORIENTATION = "bad-orientation"
    BAD_HEADER = "bad-header"
    DUPLICATE_INSTANCE = "duplicate-instance"
    DUPLICATE_SLICE = "duplicate-slice"

    # groups that make no volume
    MISSING_SLICES = "missing-slices"
    UNEVEN_SPACING = "uneven-spacing"
    SCATTERED_POSITIONS = "scattered-positions"
    REPEATED_POSITIONS = "repeated-positions"
    MIXED_ORIENTATION = "mixed-orientation"

    # volumes that need a word
    GANTRY_TILT = "gantry-tilt"
    SINGLE_SLICE = "single-slice"
    LOCALIZER = "localizer"

    # work that failed
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something true of the input that the operator should know."""

    code: str
    """Machine-readable, one of `FindingCode` or another module's own."""
    message: str
    """One sentence with numbers; no attribute values of a patient."""
    sop_instance_uids: tuple[str, ...] = ()
    """The instances it is about, sorted."""
    details: Mapping[str, object] = field(default_factory=dict)
    """JSON values: the numbers behind the message."""


def failure_finding(error: ProcessingError, *, code: str = FindingCode.FAILED) -> Finding:
    """Return the finding that says of an error's instances why nothing was made of them."""
    details = {"hint": error.hint} if error.hint else {}
    uids = tuple(sorted(error.sop_instance_uids))
    return Finding(code=code, message=str(error), sop_instance_uids=uids, details=details)
