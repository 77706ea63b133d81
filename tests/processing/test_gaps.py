from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.gaps import missing_planes
from tests.series_factory import AXIAL, CORONAL, OBLIQUE, SAGITTAL, SeriesGeometry, rotated


@dataclass(frozen=True)
class Plane:
    """Evidence of one instance."""

    position_lps: tuple[float, float, float] | None
    orientation_lps: tuple[float, float, float, float, float, float] | None


def planes(geometry: SeriesGeometry) -> list[Plane]:
    orientation = tuple(round(c, 6) for c in geometry.orientation_lps)
    present = [k for k in range(geometry.slices) if k not in geometry.missing]
    # three decimals, as devices write them
    return [Plane(tuple(np.round(geometry.position(k), 3).tolist()), orientation) for k in present]


def stack(*offsets_mm: float, x: float = 0.0) -> list[Plane]:
    return [Plane((x, 0.0, z), AXIAL) for z in offsets_mm]


NO_GAP = {
    "no planes": [],
    "no positions": [Plane(None, AXIAL), Plane((0.0, 0.0, 0.0), None)] * 5,
    "one slice": stack(7),
    "three slices tell no usual step": stack(0, 5, 15),
    "regular": stack(*range(0, 100, 5)),
    "rounded positions": stack(*(round(k * 2 / 3, 3) for k in range(200))),
    "two spacings that are no multiples": stack(*range(0, 40, 4), *range(40, 110, 7)),
    "two spacings, the second twice the first": stack(*range(0, 60, 3), *range(60, 108, 6)),
    "pairs of planes": stack(0, 1, 10, 11, 20, 21, 30, 31, 40, 41),
    "uneven": stack(0, 1.1, 2.9, 4.2, 8.3, 9.7, 13.9, 15.1),
    "time series": stack(*range(0, 50, 5)) * 20,
    "stacks beside each other": [*stack(*range(0, 50, 5)), *stack(*range(95, 150, 5), x=80.0)],
    "localizers": [
        Plane((0.0, 0.0, 0.0), AXIAL),
        *(Plane((0.0, y, 0.0), CORONAL) for y in (0.0, 20.0, 40.0)),
        *(Plane((x, 0.0, 0.0), SAGITTAL) for x in (0.0, 20.0, 40.0)),
    ],
    "radial planes": [Plane((0.0, 0.0, 0.0), rotated(CORONAL, (0, 0, 1), 10.0 * n)) for n in range(18)],
    "not numbers": [Plane((float("nan"), 0.0, float(z)), AXIAL) for z in (0, 5, 10, 15, 25)],
    "no plane at all": [
        Plane((0.0, 0.0, float(z)), (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)) for z in (0, 5, 10, 15, 25)
    ],
    "two time series of which one covers half": [*stack(*range(0, 50, 5)) * 2, *stack(*range(0, 25, 5)) * 3],
    "repeated here and there": stack(*range(0, 50, 5), 20, 20, 35),
}


@pytest.mark.parametrize("name", NO_GAP)
def test_no_gap_where_there_is_none(name: str) -> None:
    """What real protocols send without loss is never called incomplete."""
    assert missing_planes(NO_GAP[name]) == ()


@pytest.mark.parametrize(
    "orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE], ids=["axial", "coronal", "sagittal", "oblique"]
)
@pytest.mark.parametrize("tilt_degrees", [0.0, 18.5])
@pytest.mark.parametrize("missing", [(4,), (4, 5, 6), (1,), (8,)], ids=str)
def test_a_lost_slice_is_named(orientation, tilt_degrees, missing) -> None:
    """A gap is found in any orientation, under a tilted gantry too, with how many slices it holds and where."""
    geometry = SeriesGeometry(
        slices=12, orientation_lps=orientation, tilt_degrees=tilt_degrees, missing=missing
    )
    (sentence,) = missing_planes(planes(geometry))
    assert sentence.startswith("1 slice is" if len(missing) == 1 else f"{len(missing)} slices are")
    before = geometry.position(missing[0] - 1) @ geometry.normal
    after = geometry.position(missing[-1] + 1) @ geometry.normal
    assert f"between {before:.2f} mm and {after:.2f} mm" in sentence
    assert sentence.endswith("the usual step is 2.50 mm.")


def test_a_gap_of_a_hundred_slices_is_still_whole() -> None:
    """Rounding of the positions does not add up until a wide gap looks like another spacing."""
    step = 2 / 3
    offsets = [round(k * step, 3) for k in range(400) if not 200 <= k < 300]
    (sentence,) = missing_planes(stack(*offsets))
    assert sentence.startswith("100 slices are missing")


def test_every_fourth_slice_lost() -> None:
    """One of four parallel associations failed: each hole is a gap, five are named and the others counted."""
    sentences = missing_planes(stack(*(k * 3.0 for k in range(40) if k % 4 != 2)))
    assert len(sentences) == 6
    assert sentences[-1] == "And 5 more gaps."


def test_the_last_volume_of_a_time_series_was_cut() -> None:
    """Positions that occur less often than the others are missing instances, counted."""
    cut = [*stack(*range(0, 50, 5)) * 4, *stack(*range(0, 40, 5))]
    assert missing_planes(cut) == (
        "8 positions occur 5 times each, but 2 less often (the first at 40.00 mm along the normal); missing instances: 2.",
    )


def test_drifting_orientations_group_the_same_in_any_order() -> None:
    """Which planes count as parallel does not depend on which of them came first."""
    drift = [rotated(AXIAL, (1, 0, 0), 0.25 * n) for n in range(3)]
    offsets = (0, 5, 10, 20, 25, 30)
    many = [Plane((0.0, 0.0, float(z) + n), drift[n]) for n in range(3) for z in offsets]  # type: ignore[arg-type]
    assert len(missing_planes(many)) == 1
    assert missing_planes(many[::-1]) == missing_planes(many)
    assert missing_planes([*many[6:12], *many[:6], *many[12:]]) == missing_planes(many)


def test_no_minus_zero() -> None:
    """A place is written the same way whatever the sign of its zero."""
    (sentence,) = missing_planes(stack(-15, -10, -5, -0.001, 10, 15, 20))
    assert "between 0.00 mm and 10.00 mm" in sentence


@given(
    st.integers(6, 40),
    st.floats(0.3, 12.0),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.data(),
)
def test_one_lost_slice_is_always_found(slices, step_mm, about_x, about_y, data) -> None:
    """Whatever the orientation and spacing: losing one inner slice is seen, losing none is not."""
    orientation = rotated(rotated(AXIAL, (1, 0, 0), about_x), (0, 1, 0), about_y)
    lost = data.draw(st.integers(1, slices - 2))
    whole = SeriesGeometry(slices=slices, step_mm=step_mm, orientation_lps=orientation)
    short = SeriesGeometry(slices=slices, step_mm=step_mm, orientation_lps=orientation, missing=(lost,))
    assert missing_planes(planes(whole)) == ()
    assert len(missing_planes(planes(short))) == 1


def test_thousands_of_orientations_are_no_burden() -> None:
    """5,000 planes, all turned differently, are grouped (within the suite's timeout) and have no gap."""
    many = [
        Plane((0.0, 0.0, float(n)), tuple(rotated(CORONAL, (0, 0, 1), 0.07 * n)))  # type: ignore[arg-type]
        for n in range(5000)
    ]
    assert missing_planes(many) == ()


@pytest.mark.corpus
@pytest.mark.parametrize(
    "folder",
    [
        "ct_head_ge",
        "mr_fmri_4d_ge",
        "ct_pet_mr_rtstruct/STS_002",
        "mr_dwi/01_Ax_DWI_TENSOR_R2",
        "mr_dwi_dicom2nifti/siemens",
    ],
)
def test_no_false_alarm_on_real_series(folder, corpus) -> None:
    """Whole series of real devices, a head CT with steps of 4 and 7 mm among them, have no gap."""
    series: dict[str, list[Plane]] = {}
    for path in sorted((corpus / folder).rglob("*")):
        if not path.is_file() or not pydicom.misc.is_dicom(path):
            continue
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        position, orientation = dataset.get("ImagePositionPatient"), dataset.get("ImageOrientationPatient")
        if position and orientation:
            plane = Plane(tuple(map(float, position)), tuple(map(float, orientation)))  # type: ignore[arg-type]
            series.setdefault(str(dataset.SeriesInstanceUID), []).append(plane)
    assert series
    assert {uid: missing_planes(found) for uid, found in series.items()} == dict.fromkeys(series, ())


def test_a_gap_is_seen_between_positions_in_tenths_of_a_millimetre():
    """Steps of 0.6 and 0.7 mm are one step of 0.625 mm; where one plane of them is missing it is named."""
    offsets = [round(k * 0.625, 1) for k in range(30)]
    assert missing_planes(stack(*offsets)) == ()
    (sentence,) = missing_planes(stack(*offsets[:11], *offsets[12:]))
    assert sentence.startswith("1 slice is missing between 6.20 mm and 7.50 mm")
