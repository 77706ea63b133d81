"""fill_volume: pixels in their places, read once, with the right values."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.errors import GeometryError, PixelError
from processing.frames import FrameHeader, read_header
from processing.nifti import encode_nifti
from processing.volume import Volume, fill_volume, plan_volumes
from tests.series_factory import (
    AXIAL,
    SeriesGeometry,
    ct_series,
    mr_series,
    pet_series,
    repeated,
    rotated,
    set_pixels,
    shuffled,
    world_linear,
)


def filled(datasets) -> Volume:
    by_uid = {dataset.SOPInstanceUID: dataset for dataset in datasets}
    (plan,) = plan_volumes([read_header(dataset) for dataset in datasets]).volumes
    return fill_volume(plan, lambda header: by_uid[header.sop_instance_uid])


def test_every_voxel_has_the_value_of_its_place():
    """The phantom is linear in the world: a voxel in the wrong place would have the wrong value."""
    geometry = SeriesGeometry(slices=4, tilt_degrees=9.0)
    volume = filled(shuffled(ct_series(geometry)))
    for k in range(4):
        wanted = np.rint(world_linear(geometry.world(k)))
        assert np.array_equal(volume.modality_values()[k], wanted)
        assert np.array_equal(volume.modality_plane(k), wanted)


def test_each_instance_is_read_once():
    """Pixels flow through once, in the order of the slices."""
    datasets = {dataset.SOPInstanceUID: dataset for dataset in ct_series()}
    (plan,) = plan_volumes([read_header(dataset) for dataset in datasets.values()]).volumes
    asked: list[str] = []

    def read(header: FrameHeader):
        asked.append(header.sop_instance_uid)
        return datasets[header.sop_instance_uid]

    fill_volume(plan, read)
    assert asked == list(plan.sop_instance_uids)


def test_a_pet_keeps_its_fractions():
    """Slopes that differ from slice to slice are applied in floating point, never truncated to integers."""
    geometry = SeriesGeometry()
    volume = filled(pet_series(geometry))
    assert volume.values.dtype == np.float32
    assert (volume.scale_slope, volume.scale_intercept) == (1.0, 0.0)
    for k in range(geometry.slices):
        error = np.abs(volume.values[k] - world_linear(geometry.world(k)))
        assert error.max() <= (0.25 + 0.125 * k) / 2 + 1e-3
    assert (volume.values % 1 != 0).any()


def test_mixed_signs_are_one_volume():
    """Signed and unsigned slices of one series are read each by its own header."""
    datasets = mr_series()
    wanted = [np.full((6, 8), -5 if k % 2 else 40000) for k in range(5)]
    for k, (dataset, values) in enumerate(zip(datasets, wanted, strict=True)):
        set_pixels(dataset, values.astype("int16" if k % 2 else "uint16"))
    volume = filled(datasets)
    assert volume.values.dtype == np.int32
    assert np.array_equal(volume.values, wanted)


def test_equal_twins_are_one_slice_and_different_ones_are_refused():
    """A slice sent again is compared pixel by pixel: the same image is dropped, another one is an error."""
    series = ct_series()
    (again,) = repeated(series[2:3], 1, "InstanceNumber", values=[3])
    assert filled([*series, again]).values.shape == (5, 6, 8)
    changed = np.full((6, 8), 7, dtype="int16")
    set_pixels(again, changed)
    with pytest.raises(GeometryError) as caught:
        filled([*series, again])
    assert set(caught.value.sop_instance_uids) == {series[2].SOPInstanceUID, again.SOPInstanceUID}


def test_damaged_pixels_name_their_instance():
    """A cut frame is an error with its UID, never a slice of zeros."""
    series = ct_series()
    series[3].PixelData = series[3].PixelData[:-2]
    with pytest.raises(PixelError) as caught:
        filled(series)
    assert caught.value.sop_instance_uids == (series[3].SOPInstanceUID,)


ANGLES = st.floats(-180, 180, allow_nan=False)
GEOMETRIES = st.builds(
    lambda a, b, c, **values: SeriesGeometry(
        orientation_lps=rotated(rotated(rotated(AXIAL, (1, 0, 0), a), (0, 1, 0), b), (0, 0, 1), c),
        rows=4,
        columns=5,
        **values,
    ),
    ANGLES,
    ANGLES,
    ANGLES,
    slices=st.integers(2, 6),
    row_spacing_mm=st.floats(0.1, 5),
    column_spacing_mm=st.floats(0.1, 5),
    step_mm=st.floats(0.2, 12),
    tilt_degrees=st.sampled_from([0.0, 0.0, 20.0, -20.0]),
    origin_lps=st.tuples(*[st.floats(-500, 500)] * 3),
)


@given(GEOMETRIES, st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_a_reader_of_the_nifti_finds_the_phantom_in_the_world(geometry, seed):
    """However oblique or tilted: nibabel's affine times the voxel's index is a place that has the voxel's value."""
    series = ct_series(geometry, dtype="int32", intercept=0.0)
    data = encode_nifti(filled(shuffled(series, seed)))
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
    voxels = np.indices(image.shape).reshape(3, -1)
    ras = image.affine[:3, :3] @ voxels + image.affine[:3, 3:]
    wanted = world_linear((np.diag([-1, -1, 1]) @ ras).T)
    # Half a level of rounding in the pixels, and float32 affines of places within a metre.
    assert np.abs(np.asanyarray(image.dataobj).reshape(-1) - wanted).max() < 0.5 + 0.01


@given(st.integers(0, 10_000), st.sampled_from(["ct", "mr", "pt"]))
@settings(max_examples=30, deadline=None)
def test_the_order_of_arrival_never_changes_the_bytes(seed, kind):
    """Any order of arrival makes the same file, byte for byte."""
    series = {"ct": ct_series, "mr": mr_series, "pt": pet_series}[kind](SeriesGeometry(slices=7))
    assert encode_nifti(filled(shuffled(series, seed))) == encode_nifti(filled(series))
