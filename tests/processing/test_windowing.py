from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.frames import FrameHeader, Window
from processing.windowing import (
    LookupTable,
    Presentation,
    display_values,
    fallback_window,
    first_valid_window,
    header_presentation,
    is_inverted,
)


def standard_says(x: float, window: Window) -> float:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3 written down plainly, for an output range of 0 to 255."""
    c, w = window.center, window.width
    if window.function == "SIGMOID":
        return 255.0 / (1.0 + math.exp(min(-4.0 * (x - c) / w, 700.0)))
    if window.function == "LINEAR_EXACT":
        if x <= c - w / 2:
            return 0.0
        if x > c + w / 2:
            return 255.0
        return ((x - c) / w + 0.5) * 255.0
    if x <= c - 0.5 - (w - 1) / 2:
        return 0.0
    if x > c - 0.5 + (w - 1) / 2:
        return 255.0
    return ((x - (c - 0.5)) / (w - 1) + 0.5) * 255.0


windows = st.one_of(
    st.builds(Window, center=st.floats(-2000, 2000), width=st.floats(1, 5000), function=st.just("LINEAR")),
    st.builds(
        Window,
        center=st.floats(-2000, 2000),
        width=st.floats(1, 5000),
        function=st.sampled_from(["LINEAR_EXACT", "SIGMOID"]),
    ),
)


@given(windows, st.lists(st.integers(-4096, 65535), min_size=1, max_size=20))
def test_every_window_function_follows_the_formula(window, values) -> None:
    """Each grey level is the standard's number, rounded."""
    shown = display_values(np.array(values, dtype=np.int32), Presentation(voi=window))
    expected = np.array([standard_says(value, window) for value in values])
    assert np.abs(shown - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("window", "values", "expected"),
    [
        (Window(center=2048, width=4096), [0, 2047, 2048, 4095], [0, 127, 128, 255]),
        (Window(center=0, width=100), [-51, -50, 49, 50], [0, 0, 255, 255]),  # the standard's own example
        (Window(center=0, width=100, function="LINEAR_EXACT"), [-51, -50, 0, 50], [0, 0, 128, 255]),
        (Window(center=100, width=1), [98, 99, 99.5, 100], [0, 0, 0, 255]),  # a threshold
        (Window(center=0, width=2), [-2, -1, 0, 1], [0, 0, 255, 255]),
        (Window(center=0, width=400, function="SIGMOID"), [-10000, 0, 10000], [0, 128, 255]),
        (Window(center=0, width=0.5, function="LINEAR_EXACT"), [-1, 0, 1], [0, 128, 255]),
    ],
)
def test_edges_of_windows(window, values, expected) -> None:
    """The edges lie exactly where the standard puts them, width 1 is a threshold at the center."""
    assert display_values(np.array(values), Presentation(voi=window)).tolist() == expected


@given(windows, st.lists(st.floats(), min_size=1, max_size=20))
def test_any_number_is_a_grey_level(window, values) -> None:
    """No value of floating point pixel data, infinite or none at all, upsets the window; order is kept."""
    array = np.array(values)
    shown = display_values(array, Presentation(voi=window))
    numbers = ~np.isnan(array)
    assert shown.dtype == np.uint8
    assert (np.diff(shown[numbers][np.argsort(array[numbers], kind="stable")].astype(int)) >= 0).all()
    assert (shown[np.isnan(array)] == 0).all()


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", "", False),
        ("MONOCHROME1", "", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "INVERSE", True),  # both together say it once
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", False),
        ("MONOCHROME1", "LIN OD", True),  # for film only
    ],
)
def test_what_inverts(photometric, shape, inverted) -> None:
    """The shape decides where there is one, the photometric interpretation otherwise; never both."""
    header = FrameHeader(
        sop_instance_uid="2.25.1", photometric_interpretation=photometric, presentation_lut_shape=shape
    )
    assert is_inverted(header) is inverted
    assert header_presentation(header).inverted is inverted


def test_inversion_comes_after_the_window() -> None:
    """Inverting turns the grey levels of the window round; it does not move the window."""
    window = Window(center=30, width=20)
    values = np.arange(0, 100)
    upright = display_values(values, Presentation(voi=window))
    inverted = display_values(values, Presentation(voi=window, inverted=True))
    assert np.abs(255 - upright.astype(int) - inverted).max() <= 1  # one level where both round
    assert inverted[0] == 255
    assert inverted[-1] == 0


@pytest.mark.parametrize(
    "windows",
    [
        (),
        (Window(center=0, width=0),),
        (Window(center=0, width=0.5),),
        (Window(center=0, width=-100),),
        (Window(center=0, width=0, function="SIGMOID"),),
        (Window(center=math.nan, width=100),),
        (Window(center=0, width=math.inf),),
        (Window(center=0, width=100, function="CUBIC"),),
    ],
    ids=str,
)
def test_windows_the_standard_does_not_allow(windows) -> None:
    """An impossible window is not used; the next possible one is."""
    assert first_valid_window(windows) is None
    good, other = Window(center=1, width=2), Window(center=3, width=4)
    assert first_valid_window((*windows, good, other)) is good


def test_fallback_leaves_the_tails_out() -> None:
    """Without a window, a hot pixel does not darken the picture."""
    values = np.arange(10000)
    values[-1] = 10**9
    window = fallback_window(values)
    assert window.function == "LINEAR_EXACT"
    assert window.center - window.width / 2 == pytest.approx(50, abs=1)
    assert window.center + window.width / 2 == pytest.approx(9950, abs=1)
    shown = display_values(values, Presentation())
    assert shown[:40].max() == 0
    assert shown[-40:].min() == 255
    assert shown[5000] == pytest.approx(128, abs=1)


def test_fallback_does_not_count_padding() -> None:
    """A round field in a square of padding gets the window of the field alone."""
    field = np.linspace(0, 100, 1000)
    padded = np.concatenate([np.full(5000, -2000.0), np.full(100, -1990.0), field])
    assert fallback_window(padded, (-2000.0, -1990.0)) == fallback_window(field)
    assert fallback_window(padded) != fallback_window(field)
    only = np.full(10, -2000.0)
    assert fallback_window(only, (-2000.0, -2000.0)) == fallback_window(only)


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [(1.0, -1024.0, (-3024.0, -3014.0)), (-2.0, 0.0, (3980.0, 4000.0)), (1.0, 0.0, (-2000.0, -1990.0))],
)
def test_padding_is_rescaled_like_the_pixels(slope, intercept, expected) -> None:
    """Padding is said in stored values and met in modality values, its limit on either side."""
    for value, limit in ((-2000, -1990), (-1990, -2000)):
        header = FrameHeader(
            sop_instance_uid="2.25.1",
            pixel_padding_value=value,
            pixel_padding_range_limit=limit,
            has_rescale=True,
            rescale_slope=slope,
            rescale_intercept=intercept,
        )
        assert header_presentation(header).padding == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7, 7, 7], [0, 0, 0]),
        ([0] * 999 + [5], [0] * 999 + [255]),
        ([math.nan, math.inf], [0, 255]),
        ([math.nan, 1.0, 2.0], [0, 0, 255]),
        ([-1e308, 1e308], [0, 255]),
    ],
    ids=["all the same", "one bright pixel", "no numbers", "one is no number", "enormous"],
)
def test_fallback_of_odd_pictures(values, expected) -> None:
    """Constant, nearly constant and broken pictures still make one."""
    assert display_values(np.array(values), Presentation()).tolist() == expected


def test_bytes_without_a_window_are_shown_as_they_are() -> None:
    """8-bit images that say nothing of a window were made to be looked at as they are."""
    values = np.arange(256, dtype=np.uint8)
    header = FrameHeader(
        sop_instance_uid="2.25.1", bits_allocated=8, photometric_interpretation="MONOCHROME2"
    )
    assert display_values(values, header_presentation(header)).tolist() == values.tolist()
    words = FrameHeader(sop_instance_uid="2.25.1", bits_allocated=16)
    assert header_presentation(words).voi is None


def test_lookup_table() -> None:
    """Values below and above the table take its ends; the output range is that of its bits."""
    table = LookupTable(first_mapped=-2, bits=8, entries=np.array([10, 20, 40, 80], dtype=np.uint16))
    values = np.array([-32768, -3, -2, -1, 0, 1, 2, 32767])
    assert display_values(values, Presentation(voi=table)).tolist() == [10, 10, 10, 20, 40, 80, 80, 80]
    assert display_values(np.array([-0.4, 0.6, math.nan, 1e30]), Presentation(voi=table)).tolist() == [
        40,
        80,
        10,
        80,
    ]
    wide = LookupTable(first_mapped=0, bits=16, entries=np.array([0, 32768, 65535], dtype=np.uint16))
    assert display_values(np.arange(3), Presentation(voi=wide)).tolist() == [0, 128, 255]
    assert display_values(np.arange(3), Presentation(voi=wide, inverted=True)).tolist() == [255, 127, 0]
