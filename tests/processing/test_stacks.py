"""Stacks: which slices could lie on one grid, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.frames import FrameHeader, read_header
from processing.stacks import arrange_stack, image_class, split_stacks
from tests.series_factory import (
    CORONAL,
    OBLIQUE,
    SAGITTAL,
    SeriesGeometry,
    ct_series,
    mr_series,
    rotated,
    shuffled,
)


def headers(datasets) -> list[FrameHeader]:
    return [read_header(dataset) for dataset in datasets]


def changed(header: FrameHeader, suffix: str, **values: object) -> FrameHeader:
    return replace(header, sop_instance_uid=f"{header.sop_instance_uid}.{suffix}", **values)


SPLITTING = {
    "rows": {"rows": 12},
    "columns": {"columns": 12},
    "orientation": {"orientation_lps": rotated((1, 0, 0, 0, 1, 0), (1, 0, 0), 0.1)},
    "pixel spacing": {"row_spacing_mm": 0.75 * 1.0002},
    "localizer": {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")},
    "derived": {"image_type": ("DERIVED", "PRIMARY", "M", "SE")},
    "phase": {"image_type": ("ORIGINAL", "PRIMARY", "P", "SE")},
    "echo number": {"echo_number": 2},
    "echo time": {"echo_time_ms": 11.0},
    "coil": {"coil_element": "H2"},
    "stack": {"stack_id": "2"},
    "frame of reference": {"frame_of_reference_uid": "2.25.1"},
}
JOINED = {
    "acquisition": {"acquisition_number": 7},
    "bits": {"bits_stored": 12, "high_bit": 11},
    "sign": {"pixel_representation": 0},
    "time": {"acquisition_datetime": "20240229101700.000000"},
    "orientation": {"orientation_lps": rotated((1, 0, 0, 0, 1, 0), (1, 0, 0), 0.02)},
    "pixel spacing": {"row_spacing_mm": 0.75 * 1.00005},
    "echo time": {"echo_time_ms": 10.05},
    "echo time left out": {"echo_time_ms": None},
    "echo number left out": {"echo_number": None},
    "component left out": {"image_type": ("ORIGINAL", "PRIMARY", "OTHER")},
    "a derived slice": {"image_type": ("DERIVED", "PRIMARY", "M", "SE")},
    "frame of reference left out": {"frame_of_reference_uid": ""},
    "stack said once": {"stack_id": "1"},
    "another coil": {"coil_element": "H2"},
}


@pytest.mark.parametrize("values", SPLITTING.values(), ids=SPLITTING)
def test_what_makes_another_grid_or_another_kind_splits(values):
    """Each rule of the split, alone, makes two groups of a series that is otherwise one."""
    series = headers(mr_series())
    others = [changed(header, "1", **values) for header in series]
    groups = split_stacks([*series, *others])
    assert sorted(len(group) for group in groups) == [5, 5]


@given(st.permutations(range(3)))
def test_groups_of_near_values_do_not_depend_on_the_uids(order):
    """Of three directions, each near the next, the smallest leads: whoever has which UID."""
    series = [
        replace(
            header,
            sop_instance_uid=f"2.25.{number}",
            orientation_lps=rotated((1, 0, 0, 0, 1, 0), (0, 0, 1), 0.04 * k),
        )
        for header, number, k in zip(headers(mr_series())[:3], order, range(3), strict=True)
    ]
    groups = split_stacks(series)
    places = sorted(sorted(h.position_lps[2] for h in group) for group in groups)
    assert places == sorted([[series[0].position_lps[2]], sorted(h.position_lps[2] for h in series[1:])])


@pytest.mark.parametrize("values", JOINED.values(), ids=JOINED)
def test_what_differs_within_good_volumes_does_not_split(values):
    """Exposure-like differences and rounding leave one group."""
    first, second, *rest = headers(mr_series())
    assert len(split_stacks([first, replace(second, **values), *rest])) == 1


@pytest.mark.parametrize(
    ("offsets", "told", "wanted"),
    [
        ((0, 1, 2, 3, 4, 5), (3, 4, 5), [6]),  # one row, the second half derived
        ((0, 1, 2, 3, 4, 6, 7), (1, 3, 6), [7]),  # a gap, but the kinds alternate
        ((0, 1, 2, 9, 10, 11), (3, 4, 5), [3, 3]),  # two rows
        ((0, 9), (1,), [1, 1]),  # two slices are in one row anywhere
        ((0, 1, 1, 2), (2,), [1, 3]),  # of one place
    ],
)
def test_what_some_slices_tell_splits_what_is_no_row(offsets, told, wanted):
    """Derived slices among others stay with them where all are one row, and leave them where they are another."""
    first = headers(mr_series())[0]
    series = [
        changed(
            first,
            str(k),
            position_lps=(0.0, 0.0, float(offset)),
            image_type=("DERIVED" if k in told else "ORIGINAL", "PRIMARY"),
        )
        for k, offset in enumerate(offsets)
    ]
    assert sorted(len(group) for group in split_stacks(series)) == wanted


@pytest.mark.parametrize("orientation", [OBLIQUE, CORONAL, SAGITTAL])
def test_the_order_is_that_along_the_normal(orientation):
    """Not z, not the instance number, not the order of arrival: the projection on row x column."""
    geometry = SeriesGeometry(slices=9, orientation_lps=orientation)
    series = ct_series(geometry)
    wanted = [dataset.SOPInstanceUID for dataset in series]
    for number, dataset in enumerate(shuffled(series, 5)):
        dataset.InstanceNumber = number
    stack = arrange_stack(headers(shuffled(series, 3)))
    assert [header.sop_instance_uid for header in stack.headers] == wanted
    assert [len(place) for place in stack.places] == [1] * 9


def test_the_same_place_twice_is_one_place():
    """Positions that differ by less than the tolerance are one place with two slices."""
    series = headers(mr_series())
    x, y, z = series[2].position_lps
    again = changed(series[2], "1", position_lps=(x, y, z + 0.02))
    stack = arrange_stack([*series, again])
    assert [len(place) for place in stack.places] == [1, 1, 2, 1, 1]


@pytest.mark.parametrize(
    ("image_type", "component", "wanted"),
    [
        (("ORIGINAL", "PRIMARY", "AXIAL"), "", "original"),
        (("DERIVED", "SECONDARY", "MPR"), "", "derived"),
        (("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"), "", "original magnitude"),
        (("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"), "", "original phase"),
        (("ORIGINAL", "PRIMARY", "OTHER"), "IMAGINARY", "original imaginary"),
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), "", "localizer"),
        ((), "", "original"),
    ],
)
def test_the_kind_of_image_is_read_from_image_type(image_type, component, wanted):
    """Vendors write the component in several ways; the kind is one word of ours."""
    header = replace(read_header(mr_series()[0]), image_type=image_type, complex_component=component)
    assert image_class(header) == wanted
