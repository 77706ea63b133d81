"""Planes and grids in the patient's coordinates: LPS, millimetres, float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.gaps import are_missing

Vector = tuple[float, float, float]
Floats = NDArray[np.float64]

SMALLEST_TOLERANCE_MM = 0.01  # positions are written with two or three decimals at the coarsest
STEP_TOLERANCE = 0.01  # of the step
EXACT_COSINE = 1e-6  # below it, the cosines are as orthonormal as their text allows
ROUNDED_MM = 0.1  # the coarsest rounding of positions met in practice; it puts a regular slice half of it off
# Of the rounding: half of it is a position's own, the rest that of the line through such positions.
_FITTED_ROUNDING = 0.75
_SAME_TEXT_MM = 1e-6  # positions are decimal text, read as binary numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A regular grid of voxels; the steps need not be perpendicular (a tilted gantry shears the grid)."""

    shape: tuple[int, int, int]
    """(slices, rows, columns)"""
    origin_lps: Vector
    """Centre of voxel (0, 0, 0), mm."""
    column_step_lps: Vector
    """From one column to the next: row cosine x column spacing, mm."""
    row_step_lps: Vector
    """From one row to the next: column cosine x row spacing, mm."""
    slice_step_lps: Vector
    """From one slice to the next, mm; along the normal unless the grid is sheared."""

    @property
    def affine_lps(self) -> Floats:
        """The 4 x 4 matrix from (column index i, row index j, slice index k, 1) to LPS millimetres.

        Source
        ------
        PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1, with the slice step in its empty column.
        """
        affine = np.eye(4)
        affine[:3, 0] = self.column_step_lps
        affine[:3, 1] = self.row_step_lps
        affine[:3, 2] = self.slice_step_lps
        affine[:3, 3] = self.origin_lps
        return affine

    @property
    def tilt_degrees(self) -> float:
        """The angle between the slice step and the normal of the slices."""
        normal = np.cross(self.column_step_lps, self.row_step_lps)
        step = np.asarray(self.slice_step_lps)
        return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(normal, step)), abs(normal @ step))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """How positions along a line are spaced."""

    multiples: tuple[int, ...]
    """Each gap in steps; all 1 where nothing is missing. Empty where the gaps have no common step."""
    step_mm: float
    """The common step along the normal, or the median gap where there is none."""
    residual_mm: float
    """The largest distance of a position from the least-squares line through all of them, in space."""
    normal_residual_mm: float
    """The same along the normal only."""
    tolerance_mm: float
    """How far a position may lie from its place."""


def tolerance_mm(step_mm: float) -> float:
    """Return how far a position may lie from its place in a stack of that step."""
    return max(SMALLEST_TOLERANCE_MM, STEP_TOLERANCE * step_mm)


def rounding_tolerance_mm(positions_lps: Floats) -> float:
    """Return how far positions of a regular stack may lie off only because they are written in tenths of a mm.

    Some devices write so. It is 0 where the positions, (n, 3), differ by anything but whole tenths.
    """
    tenths = (positions_lps - positions_lps[0]) / ROUNDED_MM
    if np.abs(tenths - np.rint(tenths)).max() * ROUNDED_MM > _SAME_TEXT_MM:
        return 0.0
    moving = np.count_nonzero(np.ptp(positions_lps, axis=0) > _SAME_TEXT_MM)
    return float(_FITTED_ROUNDING * ROUNDED_MM * np.sqrt(moving))


def orthonormality_error(orientation_lps: tuple[float, ...]) -> float:
    """Return how far row and column cosines are from unit length and from each other's perpendicular."""
    row, column = np.asarray(orientation_lps, dtype=np.float64).reshape(2, 3)
    errors = np.linalg.norm(row) - 1.0, np.linalg.norm(column) - 1.0, row @ column
    return float(np.abs(errors).max())


def mean_axes(orientations_lps: Floats) -> tuple[Floats, Floats]:
    """Return one orthonormal row and column cosine for an (n, 6) array of nearly equal ones.

    Cosines that are orthonormal within 1e-6 are kept as they are written; others, as from three or four
    decimals, are replaced by the nearest orthonormal pair.
    """
    first = orientations_lps[0]
    mean = first if np.all(orientations_lps == first) else orientations_lps.mean(axis=0)
    if orthonormality_error(tuple(mean)) > EXACT_COSINE:
        left, _, right = np.linalg.svd(mean.reshape(2, 3), full_matrices=False)
        mean = (left @ right).reshape(6)
    return mean[:3], mean[3:]


def mean_value(values: Floats) -> float:
    """Return the mean, which is exactly the value where all are the same."""
    return float(values[0]) if np.all(values == values[0]) else float(values.mean())


def fit_line(indices: NDArray[np.int_], positions: Floats) -> tuple[Floats, Floats]:
    """Return the least-squares step per index, and each position's difference from the line, (n, 3)."""
    centred = indices - indices.mean()
    away = positions - positions.mean(axis=0)
    step = centred @ away / (centred @ centred)
    return step, away - np.outer(centred, step)


def measure_spacing(positions_lps: Floats, normal_lps: Floats) -> Spacing:
    """Return how at least two positions, distinct and sorted along the normal, are spaced.

    The candidate for the step is the median of the smallest gaps. Where not all gaps are one step, it is taken
    only if `processing.gaps` sees missing slices too: a single stray slice must not turn a series into one that
    misses hundreds.

    Source
    ------
    PS3.3 C.7.6.2.1.1: positions alone; Spacing Between Slices (0018,0088) describes the acquisition.
    """
    gaps = np.diff(positions_lps @ normal_lps)
    smallest = gaps[gaps < 1.5 * gaps.min()]
    multiples = np.rint(gaps / np.median(smallest)).astype(np.int_)
    indices = np.concatenate([[0], np.cumsum(multiples)])
    step, residuals = fit_line(indices, positions_lps)
    step_mm = float(step @ normal_lps)
    along_normal = float(np.abs(residuals @ normal_lps).max())
    allowed = max(tolerance_mm(step_mm), rounding_tolerance_mm(positions_lps))
    common = along_normal <= allowed and bool(np.all(multiples == 1) or are_missing(multiples.tolist()))
    return Spacing(
        multiples=tuple(multiples.tolist()) if common else (),
        step_mm=step_mm if common else float(np.median(gaps)),
        residual_mm=float(np.linalg.norm(residuals, axis=1).max()),
        normal_residual_mm=along_normal,
        tolerance_mm=allowed,
    )


def slice_step(positions_lps: Floats, normal_lps: Floats, noise_mm: float) -> Floats:
    """Return the step between neighbours of a regular stack, mm: from the first position to the last.

    It goes along the normal where the positions leave it by no more than their own noise or rounding: these
    must not shear a grid.
    """
    noise_mm = max(noise_mm, rounding_tolerance_mm(positions_lps))
    step = (positions_lps[-1] - positions_lps[0]) / (len(positions_lps) - 1)
    along = (step @ normal_lps) * normal_lps
    drift_mm = float(np.linalg.norm(step - along)) * (len(positions_lps) - 1)
    return np.asarray(along if drift_mm <= 2 * noise_mm else step, dtype=np.float64)


def as_vector(values: Floats) -> Vector:
    """Return three numbers as plain floats, without negative zeros."""
    x, y, z = (float(value) + 0.0 for value in values)
    return x, y, z
