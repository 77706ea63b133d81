"""Stored values to a volume's values: the type follows from all slices, and nothing is rounded in silence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.frames import read_header
from processing.rescale import settle_values, stored_dtype
from tests.series_factory import SeriesGeometry, ct_series

HEADER = read_header(ct_series(SeriesGeometry(slices=1))[0])


def scaled(slope: float = 1.0, intercept: float = 0.0, **values: object):
    return replace(HEADER, rescale_slope=slope, rescale_intercept=intercept, **values)


def bits(stored: int, *, signed: bool):
    return replace(HEADER, bits_stored=stored, bits_allocated=32, pixel_representation=int(signed))


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ([bits(8, signed=False)], "uint8"),
        ([bits(12, signed=False)], "int16"),
        ([bits(16, signed=True)], "int16"),
        ([bits(16, signed=False)], "uint16"),
        ([bits(12, signed=False), bits(16, signed=True)], "int16"),
        ([bits(16, signed=True), bits(16, signed=False)], "int32"),
        ([bits(32, signed=False), bits(16, signed=True)], "int64"),
    ],
)
def test_the_type_holds_every_slice(headers, wanted):
    """Never the type of the first slice: the narrowest that all of them fit."""
    assert stored_dtype(headers) == wanted
    assert stored_dtype(headers[::-1]) == wanted


def planes(*values: list[int], dtype: str = "int16") -> np.ndarray:
    return np.array([[value] for value in values], dtype=dtype)


def test_hounsfield_units_are_whole_numbers():
    """Slope 1 and a whole intercept are applied when the values fit: CT arrives in HU as int16."""
    values, slope, intercept = settle_values(planes([0, 4095], dtype="uint16"), [scaled(1.0, -1024.0)])
    assert (values.dtype, slope, intercept) == (np.int16, 1.0, 0.0)
    assert values.reshape(-1).tolist() == [-1024, 3071]


def test_an_intercept_that_does_not_fit_stays_a_scale():
    """-32768 - 1024 is no int16: the stored values stay and carry their intercept."""
    stored = planes([-32768, 32767])
    values, slope, intercept = settle_values(stored, [scaled(1.0, -1024.0)])
    assert (values.dtype, slope, intercept) == (np.int16, 1.0, -1024.0)
    assert np.array_equal(values, stored)


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, 0.0), (2.0, -1000.0), (1.0, 0.25), (-1.0, 0.0)])
def test_a_common_scale_stays_beside_the_stored_integers(slope, intercept):
    """What all slices share is no reason to give up integers."""
    stored = planes([0, 100], [5, 4095])
    values, *scale = settle_values(stored.copy(), [scaled(slope, intercept)] * 2)
    assert values.dtype == np.int16
    assert np.array_equal(values, stored)
    assert scale == [slope, intercept]


def test_uint16_above_32767_stays():
    """Values beyond int16 keep uint16; values within it become int16, which more readers take."""
    high, low = planes([0, 40000], dtype="uint16"), planes([0, 4000], dtype="uint16")
    assert settle_values(high, [scaled()])[0].dtype == np.uint16
    assert settle_values(low, [scaled()])[0].dtype == np.int16
    assert settle_values(planes([0, 255], dtype="uint8"), [scaled()])[0].dtype == np.uint8


def test_different_whole_scales_make_integers():
    """Slices of slope 1 and 2 are integers still, as wide as they need."""
    values, slope, intercept = settle_values(planes([1, 2], [1, 30000]), [scaled(1.0), scaled(2.0, -1.0)])
    assert (values.dtype, slope, intercept) == (np.uint16, 1.0, 0.0)
    assert values.reshape(-1).tolist() == [1, 2, 1, 59999]


def test_different_fractional_scales_make_float32():
    """A PET's slopes are fractions, and so are its values."""
    values, slope, intercept = settle_values(planes([1, 2], [1, 3]), [scaled(0.5), scaled(0.25)])
    assert (values.dtype, slope, intercept) == (np.float32, 1.0, 0.0)
    assert values.reshape(-1).tolist() == [0.5, 1.0, 0.25, 0.75]


SCALES = st.sampled_from([(1.0, 0.0), (1.0, -1024.0), (2.0, 0.0), (0.5, 3.0), (0.001, 0.0), (-1.0, 10.0)])


@given(
    st.lists(SCALES, min_size=3, max_size=3),
    st.lists(st.integers(-32768, 32767), min_size=6, max_size=6),
)
@settings(max_examples=300, deadline=None)
def test_values_and_scale_always_make_the_modality_values(scales, numbers):
    """Whatever is chosen, values x slope + intercept is the rescale of PS3.3 C.11.1.1 for each slice."""
    stored = np.array(numbers, dtype="int16").reshape(3, 1, 2)
    wanted = np.array([stored[k] * slope + intercept for k, (slope, intercept) in enumerate(scales)])
    values, slope, intercept = settle_values(stored, [scaled(*scale) for scale in scales])
    made = values.astype(np.float64) * slope + intercept
    tolerance = 0 if np.issubdtype(values.dtype, np.integer) else 1e-6 * np.abs(wanted).max()
    assert np.abs(made - wanted).max() <= tolerance
