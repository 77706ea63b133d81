"""Volumes: planned on headers alone, then filled with pixels once.

Group; prove that the grid is regular; make one exact volume, or none and a finding that says why. A plan is
made of values, so it is the same whatever the order of arrival, and refusing costs no pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pydicom

from processing.errors import GeometryError
from processing.frames import FrameHeader
from processing.pixels import decode_frame
from processing.planning import StackPlan, plan_stack
from processing.rescale import settle_values, stored_dtype
from processing.selection import select_slices
from processing.stacks import image_class, split_stacks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from processing.findings import Finding
    from processing.geometry import Grid

Read = Callable[[FrameHeader], pydicom.Dataset]
"""Returns the data set of a header, with its pixel data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePlan:
    """One volume that can be made: which slices, in which order, on which grid."""

    headers: tuple[FrameHeader, ...]
    """One for each slice, sorted along the normal."""
    grid: Grid
    findings: tuple[Finding, ...] = ()
    """What to know of this volume; it does not stop it."""
    twins: tuple[tuple[FrameHeader, FrameHeader], ...] = ()
    """(slice, instance of the same place that repeats it): compared, not used."""

    @property
    def image_class(self) -> str:
        """``localizer``, or ``original`` or ``derived``, with the component of a complex image."""
        return image_class(self.headers[0])

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """The instances whose pixels make the volume, in the order of the slices."""
        return tuple(header.sop_instance_uid for header in self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """What can be made of a series. Every instance is in one volume or named in a finding."""

    volumes: tuple[VolumePlan, ...]
    """Localizers last, larger volumes first."""
    findings: tuple[Finding, ...]
    """What was left out of every volume, and why."""

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """The series' findings and then those of its volumes."""
        return (*self.findings, *(finding for volume in self.volumes for finding in volume.findings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Values on a grid. A modality value is ``values * scale_slope + scale_intercept``."""

    values: NDArray[np.generic]
    """(slices, rows, columns): int16, uint8, uint16, int32, ... or float32."""
    scale_slope: float
    scale_intercept: float
    plan: VolumePlan

    @property
    def affine_lps(self) -> NDArray[np.float64]:
        """The 4 x 4 matrix from (column index, row index, slice index, 1) to LPS millimetres."""
        return self.plan.grid.affine_lps

    def modality_values(self) -> NDArray[np.generic]:
        """Return the values after the modality LUT, (slices, rows, columns): as stored if nothing scales them,
        else float64.
        """
        return _scaled(self.values, self.scale_slope, self.scale_intercept)

    def modality_plane(self, index: int) -> NDArray[np.generic]:
        """Return one slice of `modality_values`, (rows, columns)."""
        return _scaled(self.values[index], self.scale_slope, self.scale_intercept)


def _scaled(values: NDArray[np.generic], slope: float, intercept: float) -> NDArray[np.generic]:
    if slope == 1.0 and intercept == 0.0:
        return values
    return values.astype(np.float64) * slope + intercept


def plan_volumes(headers: Iterable[FrameHeader]) -> SeriesPlan:
    """Return the volumes that the instances of one series make, and why the others make none.

    Parameters
    ----------
    headers
        In any order; the plan does not depend on it.

    Returns
    -------
    SeriesPlan
        Each SOP Instance UID of the input is in exactly one volume, or in at least one finding.
    """
    usable, findings = select_slices(headers)
    volumes = []
    for group in split_stacks(usable):
        outcome = plan_stack(group)
        if isinstance(outcome, StackPlan):
            volumes.append(_volume_plan(outcome))
        else:
            findings.append(outcome)
    return SeriesPlan(volumes=tuple(sorted(volumes, key=_rank)), findings=tuple(findings))


def _volume_plan(stack: StackPlan) -> VolumePlan:
    return VolumePlan(headers=stack.headers, grid=stack.grid, findings=stack.findings, twins=stack.twins)


def _rank(plan: VolumePlan) -> tuple[bool, int, int, str]:
    numbers = [header.instance_number for header in plan.headers if header.instance_number is not None]
    first = min(plan.sop_instance_uids)
    return plan.headers[0].is_localizer, -len(plan.headers), min(numbers, default=0), first


def fill_volume(plan: VolumePlan, read: Read) -> Volume:
    """Return the planned volume with the pixels that `read` brings, each instance read once.

    Raises
    ------
    PixelError
        If pixel data cannot be decoded to what the header describes.
    GeometryError
        If two instances share a place and differ in their pixels.
    """
    stored = np.empty(plan.grid.shape, dtype=stored_dtype(plan.headers))
    repeated_by: dict[str, list[FrameHeader]] = {}
    for kept, twin in plan.twins:
        repeated_by.setdefault(kept.sop_instance_uid, []).append(twin)
    for index, header in enumerate(plan.headers):
        stored[index] = decode_frame(read(header), header)
        for twin in repeated_by.get(header.sop_instance_uid, ()):
            _require_equal(header, stored[index], twin, read)
    values, slope, intercept = settle_values(stored, plan.headers)
    return Volume(values=values, scale_slope=slope, scale_intercept=intercept, plan=plan)


def _require_equal(kept: FrameHeader, pixels: NDArray[np.generic], twin: FrameHeader, read: Read) -> None:
    if not np.array_equal(decode_frame(read(twin), twin), pixels):
        raise GeometryError(
            "Two instances share a place and differ in their pixels; neither can be preferred.",
            sop_instance_uids=(kept.sop_instance_uid, twin.sop_instance_uid),
        )
