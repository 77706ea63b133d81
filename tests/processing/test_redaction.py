"""Pixel data: the stored values stay, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from processing.errors import DeidentificationError, HeldError
from processing.redaction import PixelLayout, clean_native, clean_pixel_data, masked, pixel_layout
from tests.series_factory import ct_series

if TYPE_CHECKING:
    import pydicom

NAME = b"Zwartkijker^Ottoline"


def layout(
    rows: int = 2,
    columns: int = 4,
    *,
    bits_allocated: int = 16,
    bits_stored: int = 12,
    high_bit: int | None = None,
    signed: bool = False,
    frames: int = 1,
    subsampled: bool = False,
) -> PixelLayout:
    return PixelLayout(
        rows=rows,
        columns=columns,
        samples_per_pixel=1,
        number_of_frames=frames,
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=bits_stored - 1 if high_bit is None else high_bit,
        signed=signed,
        subsampled=subsampled,
    )


def stored_value(cell: int, bits_stored: int, high_bit: int, *, signed: bool) -> int:
    """The slow plain version: one cell's stored value by PS3.5 8.1.1."""
    value = (cell >> (high_bit - bits_stored + 1)) & ((1 << bits_stored) - 1)
    return value - (1 << bits_stored) if signed and value >> (bits_stored - 1) else value


@given(
    cells=stn.arrays(np.uint16, 8),
    bits_stored=st.integers(1, 16),
    space=st.integers(0, 15),
    signed=st.booleans(),
)
def test_stored_values_never_change(cells: np.ndarray, bits_stored: int, space: int, signed: bool) -> None:
    # Whatever is in the unused bits, and wherever the stored ones lie in the cell.
    high_bit = min(15, bits_stored - 1 + space)
    cleaned = masked(cells, layout(bits_stored=bits_stored, high_bit=high_bit, signed=signed))
    for before, after in zip(cells.tolist(), cleaned.tolist(), strict=True):
        assert stored_value(after, bits_stored, high_bit, signed=signed) == stored_value(
            before, bits_stored, high_bit, signed=signed
        )


def test_an_overlay_in_the_high_bits_goes() -> None:
    # Retired, and still sent: text drawn in bit 15 of a 12-bit image.
    picture = np.arange(8, dtype="<u2") * 500
    drawn = picture | np.uint16(0x8000)
    assert clean_native(drawn.tobytes(), layout()) == picture.tobytes()


@pytest.mark.parametrize("little_endian", [True, False])
def test_the_sign_is_carried_in_either_byte_order(little_endian: bool) -> None:
    # Readers that do not mask see the same value as those that do.
    order = "<" if little_endian else ">"
    values = np.array([-2000, -1, 0, 5, 2047, -2048, 7, 8], dtype=f"{order}i2")
    without_sign = (values.view(f"{order}u2") & 0x0FFF).astype(f"{order}u2")
    assert (
        clean_native(without_sign.tobytes(), layout(signed=True), little_endian=little_endian)
        == values.tobytes()
    )


def test_unsigned_values_keep_their_byte_order() -> None:
    # numpy computes in the machine's order; the file's must come back.
    picture = np.arange(8, dtype=">u2") * 500
    drawn = (picture | np.uint16(0x8000)).astype(">u2")
    assert clean_native(drawn.tobytes(), layout(), little_endian=False) == picture.astype(">u2").tobytes()


def test_what_is_behind_the_last_frame_goes() -> None:
    # The header says how long the pixels are; the padding byte is ours.
    assert clean_native(b"123456789" + NAME, layout(3, 3, bits_allocated=8, bits_stored=8)) == b"123456789\0"
    bits = clean_native(b"\xff\xff" + NAME, layout(3, 3, bits_allocated=1, bits_stored=1))
    assert bits == b"\xff\x01"


def test_subsampled_colour_has_two_samples_a_pixel() -> None:
    # YBR_FULL_422 is two bytes a pixel (PS3.3 C.7.6.3.1.2).
    assert layout(2, 4, bits_allocated=8, bits_stored=8, subsampled=True).samples == 16


def test_fewer_pixels_than_the_header_says_are_refused() -> None:
    # Then the header does not describe these bytes.
    with pytest.raises(DeidentificationError, match="pixels"):
        clean_native(b"1234", layout())


def test_a_header_that_contradicts_itself_is_refused() -> None:
    dataset = ct_series()[0]
    dataset.HighBit = 17
    with pytest.raises(DeidentificationError, match="contradict"):
        pixel_layout(dataset)
    del dataset.Rows
    with pytest.raises(DeidentificationError, match="describe"):
        pixel_layout(dataset)


def compressed(stored: np.ndarray, *, bits_stored: int) -> pydicom.Dataset:
    dataset = ct_series()[0]
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits_stored, bits_stored - 1, 0
    return dataset


def test_frames_keep_their_number_and_lose_their_neighbours() -> None:
    # Two frames in three fragments, with bytes behind the end of each, and an offset table that no longer fits.
    pictures = [np.full((6, 8), value, dtype=np.uint16) for value in (7, 9)]
    frames = [imagecodecs.jpegls_encode(picture) for picture in pictures]
    dataset = compressed(pictures[0], bits_stored=16)
    dataset.NumberOfFrames = 2
    value = encapsulate([frame + NAME for frame in frames], fragments_per_frame=2)
    cleaned = clean_pixel_data(dataset, value, JPEGLSLossless)
    assert NAME not in cleaned
    again = list(generate_frames(cleaned, number_of_frames=2))
    for frame, picture in zip(again, pictures, strict=True):
        np.testing.assert_array_equal(imagecodecs.jpegls_decode(frame), picture)


@pytest.mark.parametrize("signed", [False, True])
def test_compressed_high_bits_are_held_when_something_is_in_them(signed: bool) -> None:
    # 16 bits in the codestream, 12 in the header: a sign may be in the others, a drawing may not.
    values = np.array([[-2000, 5], [2047, -1]], dtype=np.int16)
    dataset = compressed(values, bits_stored=12)
    dataset.PixelRepresentation = int(signed)
    allowed = values if signed else values & 0x0FFF
    clean_pixel_data(
        dataset, encapsulate([imagecodecs.jpegls_encode(allowed.view(np.uint16))]), JPEGLSLossless
    )
    drawn = encapsulate([imagecodecs.jpegls_encode((values & 0x0FFF).view(np.uint16) | np.uint16(0x4000))])
    with pytest.raises(HeldError, match="unused-bits"):
        clean_pixel_data(dataset, drawn, JPEGLSLossless)


def test_pixels_that_do_not_decode_are_refused() -> None:
    # Where the unused bits must be looked at, an undecodable frame cannot leave.
    picture = np.full((6, 8), 7, dtype=np.uint16)
    dataset = compressed(picture, bits_stored=12)
    dataset.Columns = 9
    with pytest.raises(DeidentificationError, match="decoded"):
        clean_pixel_data(dataset, encapsulate([imagecodecs.jpegls_encode(picture)]), JPEGLSLossless)


@pytest.mark.parametrize(
    ("value", "syntax"),
    [
        (b"Zwartkijker^Ottoline", RLELossless),  # no items
        (
            encapsulate([imagecodecs.jpegls_encode(np.zeros((6, 8), np.uint16))] * 3),
            JPEGLSLossless,
        ),  # more frames than the header says
        (encapsulate([b"\0\0"]), "1.2.840.10008.1.2.4.110"),  # a codec that is not known here
    ],
)
def test_fragments_that_cannot_be_followed_are_refused(value: bytes, syntax: str) -> None:
    dataset = ct_series()[0]
    dataset.NumberOfFrames = 2 if syntax == JPEGLSLossless else 1
    with pytest.raises(DeidentificationError):
        clean_pixel_data(dataset, value, syntax)


def test_clean_pixels_are_left_as_they_are() -> None:
    # The common case: sixteen bits stored in sixteen allocated.
    dataset = ct_series()[0]
    assert clean_pixel_data(dataset, dataset.PixelData, ExplicitVRLittleEndian) == dataset.PixelData
