"""decode_frame: the bits of each pixel cell, native."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.errors import PixelError
from processing.frames import FrameHeader, read_header
from processing.pixels import decode_frame
from tests.series_factory import SeriesGeometry, ct_series

ROWS, COLUMNS = 3, 5


def described(**values: object) -> FrameHeader:
    header = read_header(ct_series(SeriesGeometry(slices=1, rows=ROWS, columns=COLUMNS))[0])
    return replace(header, **values)


def with_pixels(data: bytes, vr: str = "OW") -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.add_new("PixelData", vr, data)
    return dataset


def plainly(cell: int, stored: int, high: int, *, signed: bool) -> int:
    """The slow oracle: one cell by PS3.5 8.1.1."""
    value = (cell >> (high + 1 - stored)) & ((1 << stored) - 1)
    return value - (1 << stored) if signed and value >> (stored - 1) else value


@st.composite
def cells(draw):
    allocated = draw(st.sampled_from([8, 16, 32]))
    stored = draw(st.integers(1, allocated))
    high = draw(st.integers(stored - 1, allocated - 1))
    size = ROWS * COLUMNS
    values = draw(st.lists(st.integers(0, (1 << allocated) - 1), min_size=size, max_size=size))
    values[0] |= (
        1 << high
    )  # a frame whose cells are all nearly empty can be one with a wrong High Bit: see below
    return allocated, stored, high, draw(st.booleans()), values


@given(cells(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_stored_values_are_those_of_the_slow_oracle(example, big_endian):
    """Any width, place, sign and byte order, with rubbish (old overlays) in the unused bits."""
    allocated, stored, high, signed, values = example
    header = described(
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        pixel_representation=int(signed),
        transfer_syntax_uid="1.2.840.10008.1.2.2" if big_endian else "1.2.840.10008.1.2.1",
    )
    dtype = f"{'>' if big_endian else '<'}u{allocated // 8}"
    data = np.array(values, dtype=dtype).tobytes() + b"\0"
    frame = decode_frame(with_pixels(data, "OB" if allocated == 8 else "OW"), header)
    wanted = [plainly(value, stored, high, signed=signed) for value in values]
    assert frame.shape == (ROWS, COLUMNS)
    assert frame.dtype.isnative
    assert frame.reshape(-1).tolist() == wanted
    assert frame.dtype == np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")


@pytest.mark.parametrize("unused", [0x0000, 0x000F])
def test_a_high_bit_that_the_cells_contradict_is_not_believed(unused):
    """12 bits at the bottom of their cells under High Bit 15 are read there; at the top, with or without an overlay
    below, they are read there.
    """
    header = described(bits_stored=12, high_bit=15, pixel_representation=0)
    values = np.arange(ROWS * COLUMNS, dtype="<u2") * 273
    at_bottom = decode_frame(with_pixels(values.tobytes()), header)
    at_top = decode_frame(with_pixels((values << 4 | unused).astype("<u2").tobytes()), header)
    assert at_bottom.reshape(-1).tolist() == at_top.reshape(-1).tolist() == values.tolist()


def test_bytes_in_big_endian_words_are_swapped():
    """8-bit pixels in OW under big endian lie in swapped pairs (PS3.5 8.1.1 and annex D)."""
    header = described(
        bits_allocated=8, bits_stored=8, high_bit=7, pixel_representation=0,
        transfer_syntax_uid="1.2.840.10008.1.2.2",
    )  # fmt: skip
    values = list(range(16))
    swapped = bytes(values[index ^ 1] for index in range(16))
    frame = decode_frame(with_pixels(swapped, "OW"), header)
    assert frame.reshape(-1).tolist() == values[:15]


def test_the_second_frame_follows_the_first():
    """Frames of a native multi-frame lie one after another."""
    data = np.arange(2 * ROWS * COLUMNS, dtype="<i2").tobytes()
    frame = decode_frame(with_pixels(data), described(number_of_frames=2), frame=1)
    assert frame[0, 0] == ROWS * COLUMNS


BAD = {
    "cut short": ({}, b"\0" * (2 * ROWS * COLUMNS - 2)),
    "empty": ({}, b""),
    "12 bits allocated": ({"bits_allocated": 12}, b"\0" * 200),
    "more stored than allocated": ({"bits_stored": 17, "high_bit": 16}, b"\0" * 200),
    "high bit too low": ({"bits_stored": 12, "high_bit": 10}, b"\0" * 200),
    "no bits stored": ({"bits_stored": 0, "high_bit": None}, b"\0" * 200),
    "colour": ({"samples_per_pixel": 3}, b"\0" * 200),
    "no rows": ({"rows": 0}, b"\0" * 200),
    "unknown transfer syntax": ({"transfer_syntax_uid": "1.2.840.10008.1.2.4.100"}, b"\0" * 200),
    "no items": ({"transfer_syntax_uid": "1.2.840.10008.1.2.4.70"}, b"\0" * 200),
    "cut items": ({"transfer_syntax_uid": "1.2.840.10008.1.2.4.70"}, b"\xfe\xff\x00\xe0\xff\xff"),
}


@pytest.mark.parametrize(("values", "data"), BAD.values(), ids=BAD)
def test_what_does_not_fit_the_header_is_an_error(values, data):
    """It names the instance and gives the operator a hint; there is no guess."""
    header = described(**values)
    with pytest.raises(PixelError) as caught:
        decode_frame(with_pixels(data), header)
    assert caught.value.sop_instance_uids == (header.sop_instance_uid,)
    assert caught.value.hint


def test_no_pixel_data_is_an_error():
    """A header may promise pixels that the data set does not have."""
    with pytest.raises(PixelError, match="no Pixel Data"):
        decode_frame(pydicom.Dataset(), described())
