"""The synthetic head: what it says of itself is true, and it is the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from darkroom.part10 import read_head
from darkroom.phantom import COLUMNS, ROWS, SLICES, SPACING_MM, STEP_MM, phantom_series
from db.header import describe
from processing.frames import read_header
from processing.volume import fill_volume, plan_volumes
from tests.series_factory import part10


@pytest.fixture(scope="module")
def volume():
    datasets = {each.SOPInstanceUID: each for each in phantom_series()}
    plan = plan_volumes([read_header(dataset) for dataset in datasets.values()])
    assert plan.all_findings == ()
    (volume_plan,) = plan.volumes
    return fill_volume(volume_plan, lambda header: datasets[header.sop_instance_uid])


def at(volume, x, y, z):
    """Return the Hounsfield value at a point of the patient, in mm, LPS."""
    index = np.linalg.inv(volume.affine_lps) @ (x, y, z, 1)
    column, row, slice_ = (round(float(each)) for each in index[:3])
    return int(volume.modality_values()[slice_, row, column])


def test_is_one_whole_volume_on_its_grid(volume):
    """All slices make one volume with the spacing that they were made with, and there is nothing to find."""
    assert volume.values.shape == (SLICES, ROWS, COLUMNS)
    steps = np.linalg.norm(volume.affine_lps[:3, :3], axis=0)
    assert steps == pytest.approx((SPACING_MM, SPACING_MM, STEP_MM))


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((90, 90, 0), -1000),  # air, in a corner
        ((0, -90, -20), 60),  # the nose: in front is -y
        ((0, 90, -20), -1000),  # and nothing behind
        ((-66, 0, 0), 900),  # bone
        ((36, 30, 26), 70),  # on the left: +x
        ((-36, 30, 26), 35),  # and not on the right
        ((-18, -6, 10), 8),  # the right ventricle is the larger one
        ((18, -6, 10), 35),
        ((30, -62, -24), 15),  # the eyes lie below the middle: the feet are -z
        ((30, -62, 24), 35),
    ],
)
def test_sides_cannot_be_mistaken(volume, point, expected):
    """What is in front, on the left and below is there in the patient's own directions."""
    assert at(volume, *point) == expected


def test_is_the_same_each_time_and_another_under_another_root():
    """The same call gives the same bytes; another root of the UIDs gives another series with the same pixels."""
    first, again = ([part10(each) for each in phantom_series()] for _ in range(2))
    other = phantom_series("1.2.3", "PHANTOM-2")
    assert first == again
    assert {each.SeriesInstanceUID for each in other} == {"1.2.3.2"}
    assert len({each.SOPInstanceUID for each in other}) == SLICES
    assert [each.PixelData for each in other] == [each.PixelData for each in phantom_series()]


def test_can_be_indexed():
    """The node would take each instance: the strict scan of its data set passes."""
    for dataset in phantom_series():
        content = part10(dataset)
        head = read_head(content)
        record = describe(content[head.dataset_offset :], head.transfer_syntax_uid)
        assert record.sop_instance_uid == dataset.SOPInstanceUID
