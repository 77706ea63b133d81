"""Planes and grids: the arithmetic of places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.geometry import Grid, mean_axes, measure_spacing, orthonormality_error, slice_step
from tests.series_factory import AXIAL, OBLIQUE, rotated

Z = np.array([0.0, 0.0, 1.0])


def along_z(*offsets: float) -> np.ndarray:
    return np.array([(0.0, 0.0, offset) for offset in offsets])


def test_columns_of_the_affine_are_the_steps():
    """Index (i, j, k) goes i columns, j rows and k slices from the origin."""
    grid = Grid(
        shape=(4, 3, 2),
        origin_lps=(1.0, 2.0, 3.0),
        column_step_lps=(0.5, 0.0, 0.0),
        row_step_lps=(0.0, 0.25, 0.0),
        slice_step_lps=(0.0, 0.125, 2.0),
    )
    assert (grid.affine_lps @ [1, 1, 1, 1]).tolist() == [1.5, 2.375, 5.0, 1.0]
    assert grid.tilt_degrees == pytest.approx(np.degrees(np.arctan2(0.125, 2.0)))


def test_even_offsets_have_one_step():
    """Rounding to two decimals is no unevenness."""
    offsets = [round(k * 3.2699, 2) for k in range(40)]
    spacing = measure_spacing(along_z(*offsets), Z)
    assert set(spacing.multiples) == {1}
    assert spacing.step_mm == pytest.approx(3.2699, abs=1e-4)
    assert spacing.residual_mm <= spacing.tolerance_mm


def test_positions_in_tenths_of_a_millimetre_are_even():
    """A step of 1.25 mm written as 1.2 and 1.3 is one step; finer text with the same differences is not."""
    offsets = [round(k * 1.25 + 0.3, 1) for k in range(30)]
    spacing = measure_spacing(along_z(*offsets), Z)
    assert set(spacing.multiples) == {1}
    assert spacing.residual_mm <= spacing.tolerance_mm
    offsets[7] += 0.01
    assert measure_spacing(along_z(*offsets), Z).multiples == ()


def test_rounding_does_not_shear():
    """Positions beside the normal by no more than tenths or their own noise step along it; others as they say."""
    rounded = along_z(0.0, 2.5, 5.0, 7.5)
    rounded[2:, 1] = 0.1
    assert slice_step(rounded, Z, 0.0).tolist() == [0.0, 0.0, 2.5]
    tilted = along_z(0.0, 2.5, 5.0, 7.5)
    tilted[:, 1] = np.arange(4) * 0.03
    assert slice_step(tilted, Z, 0.001) == pytest.approx([0.0, 0.03, 2.5])
    assert slice_step(tilted, Z, 0.05) == pytest.approx([0.0, 0.0, 2.5])


def test_whole_gaps_are_counted():
    """Two slices missing in one place and one in another are multiples 3 and 2."""
    spacing = measure_spacing(along_z(0.0, 2.5, 5.0, 12.5, 15.0, 20.0, 22.5), Z)
    assert spacing.multiples == (1, 1, 3, 1, 2, 1)


@pytest.mark.parametrize(
    "offsets",
    [(0.0, 4.0, 8.0, 15.0, 22.0), (0.0, 1.0, 11.0, 21.0, 31.0), (0.0, 2.5, 5.2, 7.5), (0.0, 1.0, 2.03, 3.0)],
    ids=["two steps", "a stray slice", "one misplaced", "just beyond the tolerance"],
)
def test_uneven_offsets_have_no_step(offsets):
    """Gaps that are no multiples, or only of a stray slice's gap, have no common step."""
    assert measure_spacing(along_z(*offsets), Z).multiples == ()


def test_places_beside_the_line_are_a_residual():
    """A slice that lies beside its neighbours is even along the normal and wrong in space."""
    positions = along_z(0.0, 1.0, 2.0, 3.0)
    positions[1, 0] = 0.4
    spacing = measure_spacing(positions, Z)
    assert set(spacing.multiples) == {1}
    assert spacing.residual_mm > 0.2 > spacing.tolerance_mm


def test_exact_cosines_are_kept_and_rounded_ones_are_mended():
    """Text with three decimals becomes the nearest orthonormal pair; exact text stays as it is."""
    exact = np.array([OBLIQUE] * 3)
    row, column = mean_axes(exact)
    assert (*row, *column) == OBLIQUE
    row, column = mean_axes(np.round(exact, 3))
    assert orthonormality_error((*row, *column)) < 1e-12
    assert np.abs(np.array([*row, *column]) - OBLIQUE).max() < 1e-3


@given(st.floats(-180, 180), st.floats(-180, 180))
def test_rotations_stay_orthonormal(a, b):
    """The factory's own obliques are what they claim to be."""
    assert orthonormality_error(rotated(rotated(AXIAL, (1, 0, 0), a), (0, 1, 0), b)) < 1e-12
