"""The decision about one stack: a grid that holds all of its slices, or a finding that says why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from processing.findings import Finding, FindingCode
from processing.geometry import Floats, Grid, Spacing, as_vector, mean_value, measure_spacing, slice_step
from processing.repeats import find_twins, separating_attribute
from processing.stacks import Stack, arrange_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processing.frames import FrameHeader

LARGEST_TILT_DEGREES = 0.05  # above it the grid is sheared, not just written with few decimals
LARGEST_CORNER_SHIFT = 0.1  # of a pixel: slices whose directions differ by more do not share a grid
NAMED_GAPS = 50
THICKNESS_WITHOUT_ANY_MM = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """A stack that makes a volume."""

    headers: tuple[FrameHeader, ...]
    grid: Grid
    findings: tuple[Finding, ...]
    twins: tuple[tuple[FrameHeader, FrameHeader], ...]


def plan_stack(headers: Sequence[FrameHeader]) -> StackPlan | Finding:
    """Return the plan for slices that could lie on one grid, or the finding that they do not."""
    stack = arrange_stack(headers)
    twins = find_twins(stack)
    refusal = _scattered_within_places(stack) or _mixed_orientation(stack)
    if refusal is not None:
        return refusal
    if twins is None:
        return _repeated(stack)
    kept = _kept(stack, twins)
    spacing = measure_spacing(stack.positions_lps[kept], stack.normal) if len(kept) > 1 else None
    refusal = _irregular(stack, kept, spacing) if spacing is not None else None
    if refusal is not None:
        return refusal
    grid = _grid(stack, kept, spacing)
    pairs = tuple(
        (stack.headers[index], stack.headers[other]) for index, others in twins.items() for other in others
    )
    slices = tuple(stack.headers[index] for index in kept)
    findings = (*_words(slices, grid), *_duplicates(pairs))
    return StackPlan(headers=slices, grid=grid, findings=findings, twins=pairs)


def _kept(stack: Stack, twins: dict[int, tuple[int, ...]]) -> list[int]:
    dropped = {other for others in twins.values() for other in others}
    return [index for index in range(len(stack.headers)) if index not in dropped]


def _uids(headers: Sequence[FrameHeader]) -> tuple[str, ...]:
    return tuple(sorted(header.sop_instance_uid for header in headers))


def _grid(stack: Stack, kept: Sequence[int], spacing: Spacing | None) -> Grid:
    row_spacing, column_spacing = _spacings(stack)
    if spacing is not None:
        step = slice_step(stack.positions_lps[kept], stack.normal, spacing.residual_mm)
    else:
        step = stack.normal * (_thickness_mm(stack.headers[kept[0]]) or THICKNESS_WITHOUT_ANY_MM)
    header = stack.headers[0]
    return Grid(
        shape=(len(kept), header.rows or 0, header.columns or 0),
        origin_lps=as_vector(stack.positions_lps[kept[0]]),
        column_step_lps=as_vector(stack.row_cosine * column_spacing),
        row_step_lps=as_vector(stack.column_cosine * row_spacing),
        slice_step_lps=as_vector(step),
    )


def _spacings(stack: Stack) -> tuple[float, float]:
    rows = np.asarray([header.row_spacing_mm for header in stack.headers], dtype=np.float64)
    columns = np.asarray([header.column_spacing_mm for header in stack.headers], dtype=np.float64)
    return mean_value(rows), mean_value(columns)


def _thickness_mm(header: FrameHeader) -> float | None:
    thickness = header.slice_thickness_mm
    return thickness if thickness is not None and thickness > 0 else None


# --- why there is no volume -----------------------------------------------------------------------------------


def _scattered_within_places(stack: Stack) -> Finding | None:
    limit = 2 * _in_plane_tolerance_mm(stack)
    for place in stack.places:
        if len(place) == 1:
            continue
        positions = stack.positions_lps[list(place)]
        spread = float(np.linalg.norm(positions - positions[0], axis=1).max())
        if spread > limit:
            return _scattered(stack, spread)
    return None


def _in_plane_tolerance_mm(stack: Stack) -> float:
    return LARGEST_CORNER_SHIFT * min(_spacings(stack))


def _scattered(stack: Stack, away_mm: float) -> Finding:
    return Finding(
        code=FindingCode.SCATTERED_POSITIONS,
        message=(
            f"{len(stack.headers)} parallel slices do not lie in one row:"
            f" they are up to {away_mm:.3f} mm beside it. No volume was made."
        ),
        sop_instance_uids=_uids(stack.headers),
        details={"largest_residual_mm": round(away_mm, 4)},
    )


def _repeated(stack: Stack) -> Finding:
    counts = sorted({len(place) for place in stack.places})
    attribute = separating_attribute(stack)
    repeats = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    told_apart = (
        f"{attribute} tells them apart" if attribute else "no known attribute tells all of them apart"
    )
    return Finding(
        code=FindingCode.REPEATED_POSITIONS,
        message=(
            f"Images for each of {len(stack.places)} positions: {repeats}; {told_apart}."
            " Series with a fourth dimension are not assembled yet. No volume was made."
        ),
        sop_instance_uids=_uids(stack.headers),
        details={
            "positions": len(stack.places),
            "fewest_repeats": counts[0],
            "most_repeats": counts[-1],
            "separated_by": attribute,
        },
    )


def _mixed_orientation(stack: Stack) -> Finding | None:
    shift = _corner_shift_mm(stack)
    if shift <= _in_plane_tolerance_mm(stack):
        return None
    return Finding(
        code=FindingCode.MIXED_ORIENTATION,
        message=(
            f"The directions of {len(stack.headers)} slices differ a little: a corner lies up to"
            f" {shift:.3f} mm from where a common grid would have it. No volume was made."
        ),
        sop_instance_uids=_uids(stack.headers),
        details={"largest_corner_shift_mm": round(shift, 4)},
    )


def _corner_shift_mm(stack: Stack) -> float:
    """Return how far a corner of a slice lies from where the stack's mean directions have it.

    The mean of the cosines as they are written: that these are rounded is no difference between slices.
    """
    orientations = np.asarray([header.orientation_lps for header in stack.headers], dtype=np.float64)
    spacings = np.asarray(
        [(header.column_spacing_mm, header.row_spacing_mm) for header in stack.headers], dtype=np.float64
    )
    header = stack.headers[0]
    row_spacing, column_spacing = _spacings(stack)
    mean = orientations.mean(axis=0)
    rows = orientations[:, :3] * spacings[:, :1] - mean[:3] * column_spacing
    columns = orientations[:, 3:] * spacings[:, 1:] - mean[3:] * row_spacing
    along_rows = np.linalg.norm(rows, axis=1) * ((header.columns or 1) - 1)
    along_columns = np.linalg.norm(columns, axis=1) * ((header.rows or 1) - 1)
    return float((along_rows + along_columns).max())


def _irregular(stack: Stack, kept: Sequence[int], spacing: Spacing) -> Finding | None:
    if not spacing.multiples:
        return _uneven(stack, kept, spacing)
    if spacing.residual_mm > spacing.tolerance_mm:
        return _scattered(stack, spacing.residual_mm)
    if any(multiple > 1 for multiple in spacing.multiples):
        return _missing(stack, kept, spacing)
    return None


def _uneven(stack: Stack, kept: Sequence[int], spacing: Spacing) -> Finding:
    offsets = stack.positions_lps[kept] @ stack.normal
    gaps = np.diff(offsets)
    usual = np.abs(gaps - spacing.step_mm) <= spacing.tolerance_mm
    message = (
        f"The distances of {len(kept)} slices are uneven, {gaps.min():.3f} to {gaps.max():.3f} mm:"
        f" {np.count_nonzero(usual)} of {len(gaps)} are the median, {spacing.step_mm:.3f} mm. No volume was made."
    )
    return Finding(
        code=FindingCode.UNEVEN_SPACING,
        message=message,
        sop_instance_uids=_uids(stack.headers),
        details={
            "median_step_mm": round(spacing.step_mm, 4),
            "smallest_gap_mm": round(float(gaps.min()), 4),
            "largest_gap_mm": round(float(gaps.max()), 4),
            "unusual_gaps": [
                _gap(stack, kept, index, offsets) for index in np.flatnonzero(~usual)[:NAMED_GAPS].tolist()
            ],
        },
    )


def _missing(stack: Stack, kept: Sequence[int], spacing: Spacing) -> Finding:
    offsets = stack.positions_lps[kept] @ stack.normal
    count = sum(multiple - 1 for multiple in spacing.multiples)
    gaps = [index for index, multiple in enumerate(spacing.multiples) if multiple > 1]
    places = []
    for index in gaps[:NAMED_GAPS]:
        missing = spacing.multiples[index] - 1
        at = np.linspace(offsets[index], offsets[index + 1], missing + 2)[1:-1][:NAMED_GAPS]
        named = {"missing": missing, "missing_at_mm": [round(float(offset), 3) for offset in at]}
        places.append(_gap(stack, kept, index, offsets) | named)
    first = places[0]
    are = "1 slice is" if count == 1 else f"{count} slices are"
    message = (
        f"{are} missing at a step of {spacing.step_mm:.3f} mm; the first between {first['after_mm']} and"
        f" {first['before_mm']} mm along the normal. No volume was made."
    )
    return Finding(
        code=FindingCode.MISSING_SLICES,
        message=message,
        sop_instance_uids=_uids(stack.headers),
        details={"missing": count, "step_mm": round(spacing.step_mm, 4), "gaps": places},
    )


def _gap(stack: Stack, kept: Sequence[int], index: int, offsets: Floats) -> dict[str, object]:
    return {
        "after_mm": round(float(offsets[index]), 3),
        "before_mm": round(float(offsets[index + 1]), 3),
        "gap_mm": round(float(offsets[index + 1] - offsets[index]), 3),
        "after_sop_instance_uid": stack.headers[kept[index]].sop_instance_uid,
        "before_sop_instance_uid": stack.headers[kept[index + 1]].sop_instance_uid,
    }


# --- what to know of a volume -----------------------------------------------------------------------------------


def _words(slices: Sequence[FrameHeader], grid: Grid) -> list[Finding]:
    uids = _uids(slices)
    findings = []
    if slices[0].is_localizer:
        message = "Localizer: a scout that lies across the other images; it is a volume of its own."
        findings.append(Finding(code=FindingCode.LOCALIZER, message=message, sop_instance_uids=uids))
    if len(slices) == 1:
        findings.append(_single(slices[0]))
    tilt = grid.tilt_degrees
    if tilt > LARGEST_TILT_DEGREES:
        message = (
            f"The gantry was tilted: the step is {tilt:.2f} degrees off the normal of the slices."
            " The volume is sheared, and only its sform describes it."
        )
        details: dict[str, object] = {"tilt_degrees": round(tilt, 4)}
        findings.append(
            Finding(code=FindingCode.GANTRY_TILT, message=message, sop_instance_uids=uids, details=details)
        )
    return findings


def _single(header: FrameHeader) -> Finding:
    thickness = _thickness_mm(header)
    source = "Slice Thickness" if thickness is not None else "nothing, so it is a guess"
    extent = thickness or THICKNESS_WITHOUT_ANY_MM
    return Finding(
        code=FindingCode.SINGLE_SLICE,
        message=f"A volume of one slice: its extent of {extent:g} mm along the normal is from {source}.",
        sop_instance_uids=(header.sop_instance_uid,),
        details={"extent_mm": extent, "from_slice_thickness": thickness is not None},
    )


def _duplicates(pairs: Sequence[tuple[FrameHeader, FrameHeader]]) -> list[Finding]:
    if not pairs:
        return []
    message = f"{len(pairs)} instances repeat slices of the volume under other UIDs; they were left out."
    return [
        Finding(
            code=FindingCode.DUPLICATE_SLICE,
            message=message,
            sop_instance_uids=_uids([twin for _, twin in pairs]),
            details={"repeats": {twin.sop_instance_uid: kept.sop_instance_uid for kept, twin in pairs}},
        )
    ]
