"""encode_nifti: the file's header and bytes."""

from __future__ import annotations

import gzip
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from processing.errors import OutputError
from processing.frames import read_header
from processing.nifti import encode_nifti
from processing.volume import Volume, fill_volume, plan_volumes
from tests.series_factory import (
    CANARY_ID,
    CANARY_NAME,
    OBLIQUE,
    SeriesGeometry,
    ct_series,
    mr_series,
    pet_series,
)


def volume(datasets) -> Volume:
    by_uid = {dataset.SOPInstanceUID: dataset for dataset in datasets}
    (plan,) = plan_volumes([read_header(dataset) for dataset in datasets]).volumes
    return fill_volume(plan, lambda header: by_uid[header.sop_instance_uid])


def reread(made: Volume) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(encode_nifti(made)))


def test_axes_are_columns_rows_slices_in_ras():
    """(slices, rows, columns) in, (x, y, z) out; the affine is the LPS one with x and y negated."""
    made = volume(ct_series(SeriesGeometry(slices=3, orientation_lps=OBLIQUE)))
    image = reread(made)
    assert image.shape == (8, 6, 3)
    assert np.array_equal(np.asanyarray(image.dataobj), made.values.transpose(2, 1, 0))
    assert image.affine == pytest.approx(np.diag([-1, -1, 1, 1]) @ made.affine_lps, abs=1e-5)


def test_sform_and_qform_agree_in_scanner_coordinates():
    """Both have code 1 and say the same; units are millimetres; zooms are the spacings."""
    image = reread(volume(ct_series(SeriesGeometry(orientation_lps=OBLIQUE))))
    header = image.header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_qform() == pytest.approx(header.get_sform(), abs=1e-4)
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_zooms() == pytest.approx((0.5, 0.75, 2.5))


def test_a_sheared_volume_has_no_qform():
    """Quaternions cannot describe a tilted gantry: the sform is the only truth."""
    made = volume(ct_series(SeriesGeometry(tilt_degrees=15.0)))
    header = reread(made).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)
    assert header.get_sform() == pytest.approx(np.diag([-1, -1, 1, 1]) @ made.affine_lps, abs=1e-5)


@pytest.mark.parametrize(
    ("series", "dtype"),
    [(ct_series, "int16"), (mr_series, "int16"), (pet_series, "float32")],
)
def test_the_type_is_that_of_the_values(series, dtype):
    """Integers stay integers and fractions stay float32; a reader gets the modality values back."""
    made = volume(series())
    image = reread(made)
    assert image.get_data_dtype() == dtype
    assert np.array_equal(np.asanyarray(image.dataobj), made.modality_values().transpose(2, 1, 0))


def test_a_common_scale_is_in_the_header():
    """Stored integers with scl_slope and scl_inter; the reader applies them."""
    made = volume(ct_series(slope=0.5, intercept=-100.25))
    image = reread(made)
    assert (image.dataobj.slope, image.dataobj.inter) == (0.5, -100.25)
    assert image.get_data_dtype() == np.int16
    assert np.array_equal(np.asanyarray(image.dataobj), made.modality_values().transpose(2, 1, 0))


def test_the_same_volume_is_the_same_bytes():
    """No time, name or chance in the file: twice the same, and the gzip header is bare."""
    made = volume(ct_series())
    first, second = encode_nifti(made), encode_nifti(made)
    assert first == second
    assert first[:4] == b"\x1f\x8b\x08\x00"  # gzip, deflate, no name, no extra field
    assert first[4:8] == b"\0\0\0\0"  # no time


def test_nothing_of_the_patient_is_in_the_file():
    """Neither name, ID nor dates; the description is the program's."""
    content = gzip.decompress(encode_nifti(volume(ct_series())))
    for secret in (CANARY_NAME, CANARY_ID, "19550505", "20240229"):
        assert secret.encode() not in content
    assert content[148:156] == b"Darkroom"


def test_what_nifti_cannot_hold_is_an_error_of_our_own():
    """NIfTI-1 counts voxels in 16 bits; the error names the instances."""
    made = volume(ct_series(SeriesGeometry(slices=2, rows=1, columns=40000)))
    with pytest.raises(OutputError, match="40000 x 1 x 2") as caught:
        encode_nifti(made)
    assert caught.value.sop_instance_uids == made.plan.sop_instance_uids


def test_big_endian_values_are_written_little_endian():
    """The byte order in memory is not the file's."""
    made = volume(ct_series())
    swapped = replace(made, values=made.values.astype(">i2"))
    assert encode_nifti(swapped) == encode_nifti(made)
