"""plan_volumes: one exact grid, or a finding that is true and names what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.errors import PixelError
from processing.findings import failure_finding
from processing.frames import FrameHeader, read_header
from processing.gaps import are_missing, missing_planes
from processing.volume import SeriesPlan, plan_volumes
from tests.series_factory import (
    OBLIQUE,
    SeriesGeometry,
    ct_series,
    localizer,
    mr_series,
    repeated,
    rotated,
    shuffled,
    uid,
)

if TYPE_CHECKING:
    import pydicom


def headers(datasets) -> list[FrameHeader]:
    return [read_header(dataset) for dataset in datasets]


def plan(datasets) -> SeriesPlan:
    return plan_volumes(headers(datasets))


def codes(made: SeriesPlan) -> list[str]:
    return [finding.code for finding in made.all_findings]


def assert_all_accounted(given_headers: list[FrameHeader], made: SeriesPlan) -> None:
    used = [header.sop_instance_uid for volume in made.volumes for header in volume.headers]
    named = {name for finding in made.all_findings for name in finding.sop_instance_uids}
    assert len(used) == len(set(used))
    assert {header.sop_instance_uid for header in given_headers} <= set(used) | named


@pytest.mark.parametrize("tilt_degrees", [0.0, 17.5, -12.0])
@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), OBLIQUE])
def test_the_affine_gives_every_frame_its_position(orientation, tilt_degrees):
    """affine x index = Image Position (Patient) of each frame, and the steps within a frame are the spacings."""
    geometry = SeriesGeometry(slices=11, orientation_lps=orientation, tilt_degrees=tilt_degrees)
    (volume,) = plan(shuffled(ct_series(geometry))).volumes
    affine = volume.grid.affine_lps
    for k, header in enumerate(volume.headers):
        assert (affine @ [0, 0, k, 1])[:3] == pytest.approx(header.position_lps, abs=1e-9)
    i, j, k = geometry.columns - 1, geometry.rows - 1, geometry.slices - 1
    assert (affine @ [i, j, k, 1])[:3] == pytest.approx(geometry.world(k)[j, i], abs=1e-9)
    assert volume.grid.shape == (11, 6, 8)


def test_a_tilted_gantry_is_said():
    """A shear is a finding with its angle; a straight series has none."""
    (volume,) = plan(ct_series(SeriesGeometry(tilt_degrees=-18.5))).volumes
    (finding,) = volume.findings
    assert finding.code == "gantry-tilt"
    assert finding.details["tilt_degrees"] == pytest.approx(18.5, abs=1e-3)
    (straight,) = plan(ct_series(SeriesGeometry(tilt_degrees=0.04))).volumes
    assert straight.findings == ()
    (least,) = plan(ct_series(SeriesGeometry(tilt_degrees=0.06))).volumes
    assert [finding.code for finding in least.findings] == ["gantry-tilt"]


def test_missing_slices_are_named():
    """No partial volume: the finding counts what is missing and names the places and their neighbours."""
    series = ct_series(SeriesGeometry(slices=12, missing=(4, 5, 9)))
    made = plan(shuffled(series))
    assert made.volumes == ()
    (finding,) = made.findings
    assert finding.code == "missing-slices"
    assert finding.details["missing"] == 3
    first, second = finding.details["gaps"]
    assert (first["missing"], second["missing"]) == (2, 1)
    assert first["after_sop_instance_uid"] == uid("ct", "instance", 3)
    assert first["before_sop_instance_uid"] == uid("ct", "instance", 6)
    assert second["missing_at_mm"] == [pytest.approx(-7.25 + 9 * 2.5)]
    assert first["missing_at_mm"] == [pytest.approx(-7.25 + 4 * 2.5), pytest.approx(-7.25 + 5 * 2.5)]


def test_uneven_spacing_is_refused_and_placed():
    """Steps of 4 and 7 mm are no grid; the finding says where they are."""
    series = ct_series(SeriesGeometry(slices=6, offsets_mm=(0, 4, 8, 12, 19, 26)))
    made = plan(series)
    assert made.volumes == ()
    (finding,) = made.findings
    assert finding.code == "uneven-spacing"
    assert [gap["gap_mm"] for gap in finding.details["unusual_gaps"]] == [7.0, 7.0]
    assert finding.details["unusual_gaps"][0]["after_sop_instance_uid"] == uid("ct", "instance", 3)


@pytest.mark.parametrize(("shift_mm", "wanted"), [(0.02, []), (0.08, ["uneven-spacing"])])
def test_the_tolerance_is_one_percent_of_the_step(shift_mm, wanted):
    """A slice 0.8 % of the step off its place passes; one 3 % off does not."""
    offsets = [2.5 * k for k in range(8)]
    offsets[3] += shift_mm
    assert codes(plan(ct_series(SeriesGeometry(slices=8, offsets_mm=offsets)))) == wanted


def test_slices_beside_the_row_are_refused():
    """Even along the normal and shifted within the plane is no grid either."""
    series = headers(ct_series())
    x, y, z = series[2].position_lps
    series[2] = replace(series[2], position_lps=(x + 1.0, y, z))
    made = plan_volumes(series)
    assert (made.volumes, codes(made)) == ((), ["scattered-positions"])


def test_slightly_turned_slices_are_refused():
    """Cosines within the grouping tolerance can still move a corner by more than a tenth of a pixel."""
    geometry = SeriesGeometry(rows=2, columns=400)
    series = headers(ct_series(geometry))
    turned = rotated(series[2].orientation_lps, (0, 0, 1), 0.04)
    made = plan_volumes(
        [replace(header, orientation_lps=turned) if k == 2 else header for k, header in enumerate(series)]
    )
    assert (made.volumes, codes(made)) == ((), ["mixed-orientation"])


@pytest.mark.parametrize(
    ("thickness", "extent", "known"), [("3.5", 3.5, True), (None, 1.0, False), ("0", 1.0, False)]
)
def test_a_single_slice_takes_its_thickness(thickness, extent, known):
    """One slice has no step: Slice Thickness, else 1 mm, and the finding says which."""
    (dataset,) = ct_series(SeriesGeometry(slices=1, orientation_lps=OBLIQUE))
    dataset.SliceThickness = thickness
    (volume,) = plan([dataset]).volumes
    (finding,) = volume.findings
    assert finding.code == "single-slice"
    assert finding.details == {"extent_mm": extent, "from_slice_thickness": known}
    assert np.linalg.norm(volume.grid.slice_step_lps) == pytest.approx(extent)
    assert volume.grid.tilt_degrees == pytest.approx(0.0, abs=1e-6)


def test_a_localizer_is_a_volume_of_its_own():
    """The scout of a CT series is neither in its volume nor lost."""
    made = plan([localizer(), *ct_series()])
    assert [volume.image_class for volume in made.volumes] == ["original", "localizer"]
    assert [volume.grid.shape[0] for volume in made.volumes] == [5, 1]
    assert codes(made) == ["localizer", "single-slice"]


def test_two_echoes_are_two_volumes():
    """Positions that repeat because of the echo are split before they are called repeated."""
    second = mr_series(echo=2)
    for dataset in second:
        dataset.SOPInstanceUID = uid(dataset.SOPInstanceUID, "second")
    made = plan([*mr_series(), *second])
    assert len(made.volumes) == 2
    assert made.all_findings == ()


AXES = {
    "TemporalPositionIdentifier": None,
    "DiffusionBValue": [0.0, 500.0, 1000.0],
    "TriggerTime": ["10", "250", "490"],
    "AcquisitionNumber": None,
    "AcquisitionDateTime": ["20240229101600", "20240229101700", "20240229101800"],
    "FrameReferenceTime": ["1000", "2000", "3000"],
    "InstanceNumber": None,
}


@pytest.mark.parametrize(("keyword", "values"), AXES.items())
def test_a_fourth_dimension_is_named_and_refused(keyword, values):
    """The finding counts positions and repeats and names the attribute that tells the volumes apart."""
    copies = repeated(mr_series(), 3, "SeriesNumber")
    for index, dataset in enumerate(copies):
        t = index // 5
        dataset.AcquisitionTime = "101600"
        if keyword != "InstanceNumber":
            setattr(dataset, keyword, t + 1 if values is None else values[t])
            dataset.InstanceNumber = 1
    made = plan(shuffled(copies))
    assert made.volumes == ()
    (finding,) = made.findings
    assert finding.code == "repeated-positions"
    assert finding.details == {
        "positions": 5, "fewest_repeats": 3, "most_repeats": 3, "separated_by": keyword,
    }  # fmt: skip
    assert len(finding.sop_instance_uids) == 15


def test_an_incomplete_fourth_dimension_names_no_attribute():
    """An aborted last volume leaves no attribute that is complete; nothing is guessed."""
    copies = repeated(mr_series(), 3, "TemporalPositionIdentifier")[:-2]
    (finding,) = plan(copies).findings
    assert finding.code == "repeated-positions"
    assert finding.details["separated_by"] is None
    assert (finding.details["fewest_repeats"], finding.details["most_repeats"]) == (2, 3)


def test_a_slice_sent_again_under_another_uid_does_not_grow_the_volume():
    """Nothing but the UID differs: one is used, the other is named and its pixels will be compared."""
    series = ct_series()
    again = repeated(series[2:3], 1, "InstanceNumber", values=[3])
    made = plan(shuffled([*series, *again]))
    (volume,) = made.volumes
    assert volume.grid.shape[0] == 5
    assert len(volume.twins) == 1
    (finding,) = volume.findings
    assert finding.code == "duplicate-slice"
    assert len(finding.sop_instance_uids) == 1
    assert_all_accounted(headers([*series, *again]), made)


def _sr(dataset: pydicom.Dataset) -> None:
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    del dataset.PixelData


LEFT_OUT = {
    "no-pixel-data": _sr,
    "not-supported": lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2.1"),
    "colour": lambda d: (setattr(d, "SamplesPerPixel", 3), setattr(d, "PhotometricInterpretation", "RGB")),
    "no-geometry": lambda d: setattr(d, "ImagePositionPatient", None),
    "bad-orientation": lambda d: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0.1, 1, 0]),
    "bad-header": lambda d: setattr(d, "Rows", 0),
}


@pytest.mark.parametrize("values", [{"number_of_frames": 3}, {"has_modality_lut": True}])
def test_what_is_not_done_yet_is_said(values):
    """Several frames in a CT image, or a Modality LUT Sequence, are not passed off as plain slices."""
    series = headers(ct_series(SeriesGeometry(slices=6)))
    made = plan_volumes([*series[:5], replace(series[5], **values)])
    assert [volume.grid.shape[0] for volume in made.volumes] == [5]
    assert [(f.code, f.sop_instance_uids) for f in made.findings] == [
        ("not-supported", (series[5].sop_instance_uid,))
    ]


def test_stacks_beside_each_other_are_not_repeats():
    """The same offsets along the normal at another place in the plane: neither another time nor a slice sent twice."""
    series = headers(ct_series())
    beside = [
        replace(h, sop_instance_uid=f"1.{k}", position_lps=(h.position_lps[0] + 100, *h.position_lps[1:]))
        for k, h in enumerate(series)
    ]
    made = plan_volumes([*series, *beside])
    assert (made.volumes, codes(made)) == ((), ["scattered-positions"])


def test_an_attribute_that_differs_everywhere_tells_no_volumes_apart():
    """Acquisition Number counts the slices here, so the finding names what does number the volumes."""
    copies = repeated(mr_series(), 2, "SeriesNumber")
    for number, dataset in enumerate(copies):
        dataset.AcquisitionNumber = number
        dataset.AcquisitionTime = "101600"
    (finding,) = plan(copies).findings
    assert finding.details["separated_by"] == "InstanceNumber"


@pytest.mark.parametrize("name", ["a", "b", "c", "d", "e", "f"])
def test_volumes_stand_in_an_order_that_does_not_hang_on_uids(name):
    """Larger volumes first, localizers last."""
    small = mr_series(SeriesGeometry(slices=2), name=name, echo=2)
    for dataset in small:
        dataset.SOPInstanceUID = uid(dataset.SOPInstanceUID, "small")
    scout = ct_series(SeriesGeometry(slices=7), name=name + "scout")
    for dataset in scout:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    made = plan([*small, *mr_series(name=name), *scout])
    assert [volume.grid.shape[0] for volume in made.volumes] == [5, 2, 7]


@pytest.mark.parametrize(("code", "spoil"), LEFT_OUT.items())
def test_what_can_be_no_slice_is_left_out_and_named(code, spoil):
    """One object of another kind in the series does not stop the volume of the others."""
    series = ct_series(SeriesGeometry(slices=6))
    spoil(series[5])
    made = plan(series)
    assert [volume.grid.shape[0] for volume in made.volumes] == [5]
    (finding,) = made.findings
    assert (finding.code, finding.sop_instance_uids) == (code, (series[5].SOPInstanceUID,))


def test_multi_frame_says_what_it_is():
    """The sentence for enhanced images names them, so that nobody looks for a fault in the data."""
    series = ct_series()
    series[4].SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    assert plan(series).findings[0].message == "Not assembled yet: enhanced multi-frame."


def test_the_same_uid_twice_is_used_once():
    """Whichever of two different headers of one UID comes first, the same one is used."""
    series = headers(ct_series())
    other = replace(series[1], instance_number=77)
    one, two = plan_volumes([*series, other]), plan_volumes([other, *series])
    assert one == two
    assert one.volumes[0].grid.shape[0] == 5
    assert [finding.code for finding in one.findings] == ["duplicate-instance"]


def test_another_frame_of_reference_is_another_volume():
    """Places in different frames of reference cannot be compared, however well they would fit."""
    series = ct_series()
    series[4].FrameOfReferenceUID = uid("elsewhere")
    assert [volume.grid.shape[0] for volume in plan(series).volumes] == [4, 1]


def test_a_failure_becomes_a_finding_of_its_instances():
    """An error of the work keeps the account complete: it names its instances and the hint."""
    finding = failure_finding(
        PixelError("It is damaged.", hint="send it again", sop_instance_uids=("2.25.2", "2.25.1"))
    )
    assert finding.sop_instance_uids == ("2.25.1", "2.25.2")
    assert finding.details == {"hint": "send it again"}


# --- laws ---------------------------------------------------------------------------------------------------

BASE = headers(mr_series(SeriesGeometry(slices=9, orientation_lps=OBLIQUE)))
SPOILERS = st.sampled_from([
    {}, {"position_lps": None}, {"orientation_lps": None}, {"rows": None}, {"rows": 7}, {"columns": 7},
    {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, {"samples_per_pixel": 3}, {"has_pixel_data": False},
    {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.4.1"}, {"tile_count": 9}, {"echo_number": 2}, {"stack_id": "2"},
    {"sop_instance_uid": "2.25.42"}, {"position_lps": BASE[4].position_lps}, {"temporal_position": 2},
    {"orientation_lps": (1.0, 0.0, 0.0, 0.5, 1.0, 0.0)}, {"row_spacing_mm": 0.0}, {"number_of_frames": 3},
    {"position_lps": (1.0, 2.0, 3.0)}, {"frame_of_reference_uid": ""}, {"has_modality_lut": True},
])  # fmt: skip


@given(st.lists(SPOILERS, min_size=9, max_size=9), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_every_instance_is_accounted_for_whatever_it_is(spoilers, random):
    """Each SOP Instance UID is in exactly one volume or in a finding, and the order of arrival changes nothing."""
    series = [replace(header, **values) for header, values in zip(BASE, spoilers, strict=True)]
    made = plan_volumes(series)
    assert_all_accounted(series, made)
    random.shuffle(series)
    assert plan_volumes(series) == made


@given(st.sets(st.integers(0, 29), max_size=20))
@settings(max_examples=150, deadline=None)
def test_no_partial_volume_is_ever_silent(missing):
    """Whatever slices are lost, a volume of the rest is exact, a count of missing slices is the true one, and
    completeness sees a gap exactly where the plan does.
    """
    series = headers(ct_series(SeriesGeometry(slices=30, rows=1, columns=1, missing=tuple(missing))))
    made = plan_volumes(series)
    arrived = [k for k in range(30) if k not in missing]
    gaps = np.diff(arrived)
    assert bool(missing_planes(series)) == ("missing-slices" in codes(made))
    if made.volumes:
        assert len(set(gaps.tolist())) <= 1
    elif made.findings[0].code == "missing-slices":
        unit = gaps.min()
        assert made.findings[0].details["missing"] == int((gaps // unit - 1).sum())
    else:
        assert (gaps % gaps.min()).any() or not are_missing((gaps // gaps.min()).tolist())
