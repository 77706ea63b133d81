from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.reslice import View, spread_indices, true_picture, turn_upright
from processing.volume import fill_volume, plan_volumes
from tests.series_factory import AXIAL, CORONAL, OBLIQUE, SAGITTAL, SeriesGeometry, ct_series, rotated

ORIENTATIONS = {
    "axial": AXIAL,
    "axial, feet first, prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "axial, from above": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "axial, on the side": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0),
    "coronal": CORONAL,
    "coronal, head down": (1.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    "sagittal": SAGITTAL,
    "sagittal, from the right": (0.0, -1.0, 0.0, 0.0, 0.0, -1.0),
    "oblique": OBLIQUE,
    "oblique sagittal": rotated(SAGITTAL, (1.0, 1.0, 0.0), 20.0),
}

GROWS = {  # how the world (LPS) changes to the right and downwards in a picture, and from plane to plane
    View.AXIAL: ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    View.CORONAL: ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    View.SAGITTAL: ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
}


def volume_of(geometry: SeriesGeometry, phantom):
    datasets = {dataset.SOPInstanceUID: dataset for dataset in ct_series(geometry, phantom=phantom)}
    from processing.frames import read_header

    plan = plan_volumes([read_header(dataset) for dataset in datasets.values()])
    return fill_volume(plan.volumes[0], lambda header: datasets[header.sop_instance_uid])


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_radiological_convention(name) -> None:
    """From any acquisition: right to the left, front or head up, and each plane where its index says."""
    geometry = SeriesGeometry(slices=7, rows=8, columns=9, orientation_lps=ORIENTATIONS[name])
    for axis in range(3):  # the phantom is one coordinate of the world, in half millimetres
        volume = volume_of(geometry, lambda world, axis=axis: world[..., axis] * 2)
        upright = turn_upright(volume.modality_values(), volume.affine_lps)
        for view, (right, down, deeper) in GROWS.items():
            here = upright.plane(view, 1).values.astype(float)
            there = upright.plane(view, 2).values.astype(float)
            for change, direction in (
                (here[:, -1] - here[:, 0], right),
                (here[-1, :] - here[0, :], down),
                ((there - here) * 6, deeper),
            ):
                if direction[axis]:
                    assert np.sign(change.mean()) == direction[axis], (view, axis)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_spacings_are_those_of_the_axes(name) -> None:
    """A plane knows its true spacings whichever way it was acquired."""
    geometry = SeriesGeometry(
        slices=4,
        rows=5,
        columns=6,
        row_spacing_mm=0.75,
        column_spacing_mm=0.5,
        step_mm=5.0,
        orientation_lps=ORIENTATIONS[name],
    )
    volume = volume_of(geometry, lambda world: world[..., 0] * 0)
    upright = turn_upright(volume.values, volume.affine_lps)
    by_count = {4: 5.0, 5: 0.75, 6: 0.5}
    for view in View:
        plane = upright.plane(view, 0)
        assert plane.row_spacing_mm == pytest.approx(by_count[plane.values.shape[0]])
        assert plane.column_spacing_mm == pytest.approx(by_count[plane.values.shape[1]])
        assert plane.row_shift_mm == 0.0
    assert sorted(upright.count(view) for view in View) == [4, 5, 6]


def test_markers_are_where_they_are_in_the_world() -> None:
    """A bright voxel put at a place in the world is found at that place in all three views."""
    geometry = SeriesGeometry(
        slices=9, rows=10, columns=11, orientation_lps=SAGITTAL, origin_lps=(-10.0, 0.0, 0.0)
    )
    place = geometry.world(6)[2, 7]

    def marker(world):
        return np.where(np.linalg.norm(world - place, axis=-1) < 1e-3, 1000.0, 0.0)

    volume = volume_of(geometry, marker)
    upright = turn_upright(volume.modality_values(), volume.affine_lps)
    found = np.argwhere(upright.values == 1000)
    # these slices grow to the patient's right, so the seventh of nine is the third from the right
    assert found.tolist() == [[2, 7, 2]]
    assert upright.plane(View.AXIAL, 2).values[7, 2] == 1000
    assert upright.plane(View.CORONAL, 7).values[2, 2] == 1000
    assert upright.plane(View.SAGITTAL, 2).values[2, 7] == 1000


def test_nothing_is_copied() -> None:
    """Turning a volume of a gigabyte upright costs nothing."""
    values = np.zeros((3, 4, 5), dtype=np.int16)
    upright = turn_upright(values, np.diag([-1.0, 1.0, 1.0, 1.0]))
    assert np.shares_memory(upright.plane(View.CORONAL, 1).values, values)


@pytest.mark.parametrize("tilt_degrees", [18.5, -18.5, 30.0])
def test_a_tilted_gantry_is_set_upright(tilt_degrees) -> None:
    """A straight edge across the slices of a sheared volume is a straight edge in its sagittal picture."""
    geometry = SeriesGeometry(
        slices=40,
        rows=200,
        columns=3,
        row_spacing_mm=0.5,
        column_spacing_mm=0.5,
        step_mm=2.0,
        tilt_degrees=tilt_degrees,
        origin_lps=(0.0, -50.0, 0.0),
    )
    volume = volume_of(geometry, lambda world: np.where(world[..., 1] > 20.0, 200.0, 0.0))
    plane = turn_upright(volume.modality_values(), volume.affine_lps).plane(View.SAGITTAL, 1)
    raw = plane.values
    assert abs(np.argmax(raw[0] > 100) - np.argmax(raw[-1] > 100)) > 30  # sheared as acquired
    picture = true_picture(raw.astype(np.uint8), plane, pixel_mm=0.5)
    assert picture.shape[0] == round(plane.values.shape[0] * 2.0 / 0.5)
    edges = [np.argmax(row > 100) for row in picture]
    assert max(edges) - min(edges) <= 2


@pytest.mark.parametrize("shape", [(10, 40), (10, 40, 3)])
def test_true_proportions(shape) -> None:
    """Rows of 4 mm and columns of 1 mm become a square of square pixels, grey or coloured."""
    picture = np.zeros(shape, dtype=np.uint8)
    picture[5:] = 200
    plane = turn_upright(np.zeros((1, *shape[:2])), np.diag([1.0, 4.0, 1.0, 1.0])).plane(View.AXIAL, 0)
    true = true_picture(picture, plane, pixel_mm=1.0)
    assert true.shape == (40, 40, *shape[2:])
    assert true[:16].max() == 0
    assert true[24:].min() == 200
    assert true_picture(picture, plane, pixel_mm=2.0).shape[:2] == (20, 20)
    assert (true_picture(picture, plane, pixel_mm=1.0) == true).all()


def test_a_picture_cannot_grow_without_bound() -> None:
    """A header that claims rows of a kilometre makes no picture of a kilometre."""
    plane = turn_upright(np.zeros((1, 4, 4)), np.diag([1e-3, 1e6, 1.0, 1.0])).plane(View.AXIAL, 0)
    assert max(true_picture(np.zeros((4, 4), dtype=np.uint8), plane, pixel_mm=1e-3).shape) <= 16384


@given(st.integers(1, 2000), st.integers(1, 12))
def test_spread_indices(count, wanted) -> None:
    """The indices are different, in order, in range, and as many as can be."""
    indices = spread_indices(count, wanted)
    assert len(indices) == min(count, wanted)
    assert list(indices) == sorted(set(indices))
    assert indices[0] >= 0
    assert indices[-1] < count


def test_spread_indices_leave_the_ends_out() -> None:
    """The middle is shown, the outermost planes only if there are no others."""
    assert spread_indices(100, 1) == (50,)
    assert spread_indices(100, 4) == (20, 40, 60, 80)
    assert spread_indices(3, 5) == (0, 1, 2)
