"""Compressed frames: bit-exact where nothing was lost, an error of our own where anything is wrong."""

from __future__ import annotations

import struct
from dataclasses import replace

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from rle.utils import encode_array

from processing import codecs
from processing.codecs import decode_compressed, mend_spectral_selection
from processing.errors import PixelError
from processing.frames import FrameHeader, read_header
from processing.pixels import decode_frame
from processing.stream_header import read_stream_header
from tests.series_factory import SeriesGeometry, ct_series

JPEG, EXTENDED, LOSSLESS, SV1 = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
JPEG_LS, J2K, HTJ2K = (f"1.2.840.10008.1.2.4.{n}" for n in (80, 90, 201))
RLE = "1.2.840.10008.1.2.5"


def noise(bits: int, shape: tuple[int, int] = (24, 40)) -> np.ndarray:
    values = np.random.default_rng(bits).integers(0, 1 << bits, size=shape)
    return values.astype("u1" if bits <= 8 else "u2")


def rle(values: np.ndarray) -> bytes:
    rows, columns = values.shape
    bits = values.dtype.itemsize * 8
    return next(
        encode_array(
            values, rows=rows, columns=columns, samples_per_pixel=1, bits_allocated=bits, number_of_frames=1
        )
    )


ENCODERS = {
    LOSSLESS: lambda values: imagecodecs.jpeg8_encode(values, lossless=True, bitspersample=_depth(values)),
    SV1: lambda values: imagecodecs.ljpeg_encode(values, bitspersample=_depth(values)),
    JPEG_LS: imagecodecs.jpegls_encode,
    J2K: lambda values: imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True, level=0),
    HTJ2K: lambda values: imagecodecs.htj2k_encode(values, reversible=True),
    RLE: rle,
}


def _depth(values: np.ndarray) -> int:
    return values.dtype.itemsize * 8


def header_of(
    values: np.ndarray, transfer_syntax_uid: str, *, bits: int, signed: bool = False
) -> FrameHeader:
    base = read_header(ct_series(SeriesGeometry(slices=1))[0])
    return replace(
        base,
        rows=values.shape[0],
        columns=values.shape[1],
        bits_allocated=values.dtype.itemsize * 8,
        bits_stored=bits,
        high_bit=bits - 1,
        pixel_representation=int(signed),
        transfer_syntax_uid=transfer_syntax_uid,
    )


def holding(*frames: bytes, fragments: int = 1) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.add_new("PixelData", "OB", encapsulate(list(frames), fragments_per_frame=fragments))
    return dataset


@pytest.mark.parametrize("syntax", ENCODERS)
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_frames_come_back_bit_for_bit(syntax, bits, signed):
    """Every lossless syntax, 8 to 16 bits, signed values as two's complement in the stored bits."""
    pattern = noise(bits)
    header = header_of(pattern, syntax, bits=bits, signed=signed)
    frame = decode_frame(holding(ENCODERS[syntax](pattern)), header)
    values = pattern.astype(int)
    wanted = np.where(signed & (values >= 1 << (bits - 1)), values - (1 << bits), values)
    assert np.array_equal(frame, wanted)


def test_a_signed_codestream_is_signed_by_the_header_alone():
    """JPEG 2000 has a sign of its own; Pixel Representation decides what the bits mean."""
    values = (noise(16).astype(int) - 32768).astype("i2")
    codestream = imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True, level=0)
    signed = decode_frame(holding(codestream), header_of(values, J2K, bits=16, signed=True))
    assert np.array_equal(signed, values)
    unsigned = decode_frame(holding(codestream), header_of(values, J2K, bits=16, signed=False))
    assert np.array_equal(unsigned, values.view("u2"))


def test_the_sign_bit_is_that_of_bits_stored():
    """4095 from a 12-bit JPEG in a signed cell of 16 bits is 4095; a signed JPEG 2000 sample keeps its own sign."""
    pattern = np.full((24, 40), 4095, dtype="u2")
    jpeg = imagecodecs.ljpeg_encode(pattern, bitspersample=12)
    assert decode_frame(holding(jpeg), header_of(pattern, SV1, bits=16, signed=True)).max() == 4095
    negative = np.full((24, 40), -5, dtype="i1")
    narrow = imagecodecs.jpeg2k_encode(negative, codecformat="j2k", reversible=True, level=0)
    frame = decode_frame(holding(narrow), header_of(pattern, J2K, bits=16, signed=True))
    assert (frame.min(), frame.max()) == (-5, -5)


def test_a_codestream_has_no_high_bit():
    """High Bit places the bits of native cells only; decoded samples are where Bits Stored has them."""
    pattern = noise(12)
    header = replace(header_of(pattern, SV1, bits=12), high_bit=15)
    assert np.array_equal(decode_frame(holding(ENCODERS[SV1](pattern)), header), pattern)


def test_the_size_of_jpeg_2000_is_without_its_offset():
    """The image area begins at (XOsiz, YOsiz) of the reference grid (ISO/IEC 15444-1 A.5.1)."""
    siz = struct.pack(">HHIIIIIIIIHB", 41, 0, 50, 40, 10, 16, 50, 40, 0, 0, 1, 0x8B)
    header = read_stream_header(b"\xff\x4f\xff\x51" + siz + b"\1\1\xff\xd9", J2K)
    assert (header.rows, header.columns, header.components, header.bits) == (24, 40, 1, 12)


@pytest.mark.parametrize("syntax", [SV1, RLE])
def test_fragments_are_joined_and_frames_are_found(syntax):
    """A frame in several fragments is one codestream, and the second frame is the second."""
    first, second = noise(12), noise(12)[::-1].copy()
    encoded = [ENCODERS[syntax](first), ENCODERS[syntax](second)]
    header = replace(header_of(first, syntax, bits=12), number_of_frames=2)
    dataset = holding(*encoded, fragments=1 if syntax == RLE else 3)
    assert np.array_equal(decode_frame(dataset, header, frame=1), second)
    with pytest.raises(PixelError, match="no frame 2"):
        decode_frame(dataset, header, frame=2)


def test_baseline_and_extended_jpeg_are_close():
    """Lossy JPEG of 8 and 12 bits is decoded to the range of its samples."""
    ramp = np.linspace(0, 4000, 24 * 40).reshape(24, 40).astype("u2")
    extended = imagecodecs.jpeg8_encode(ramp, level=99, bitspersample=12)
    assert (
        np.abs(decode_frame(holding(extended), header_of(ramp, EXTENDED, bits=12)) - ramp.astype(int)).max()
        < 40
    )
    small = (ramp // 16).astype("u1")
    baseline = imagecodecs.jpeg8_encode(small, level=99)
    assert (
        np.abs(decode_frame(holding(baseline), header_of(small, JPEG, bits=8)) - small.astype(int)).max() < 4
    )


def test_a_zero_end_of_spectral_selection_is_mended():
    """Ss = Se = 0 is refused by decoders; with Se = 63 the same bits decode to the same image."""
    ramp = np.linspace(0, 4000, 24 * 40).reshape(24, 40).astype("u2")
    right = imagecodecs.jpeg8_encode(ramp, level=95, bitspersample=12)
    at = right.index(b"\xff\xda") + 8  # marker, length, count, one component of two bytes, Ss
    assert right[at] == 63
    wrong = right[:at] + b"\0" + right[at + 1 :]
    assert mend_spectral_selection(wrong) == right
    assert mend_spectral_selection(right) == right
    header = header_of(ramp, EXTENDED, bits=12)
    assert np.array_equal(decode_frame(holding(wrong), header), decode_frame(holding(right), header))


def test_lossless_jpeg_keeps_its_zero():
    """In a lossless scan the same byte is no fault, and is left alone."""
    codestream = imagecodecs.ljpeg_encode(noise(12), bitspersample=16)
    assert mend_spectral_selection(codestream) == codestream


@pytest.mark.parametrize("syntax", [s for s in ENCODERS if s != RLE])
@pytest.mark.parametrize("rows", [12, 48])
def test_a_lying_size_never_reaches_a_decoder(syntax, rows, monkeypatch):
    """The codestream's own rows and columns are compared with the header's before anything is decoded."""
    frame = ENCODERS[syntax](noise(12))

    def never(_: bytes):
        pytest.fail("the decoder was asked")

    monkeypatch.setitem(codecs._DECODERS, syntax, (never,))
    with pytest.raises(PixelError, match=f"24 x 40 pixels in place of {rows} x 40"):
        decode_compressed(frame, syntax, rows=rows, columns=40, bits_allocated=16)


def test_colour_and_depth_are_compared_too():
    """Three components for one, or 16 bits for a cell of 8, are refused."""
    colour = imagecodecs.jpeg8_encode(np.zeros((24, 40, 3), dtype="u1"))
    with pytest.raises(PixelError, match="3 components"):
        decode_compressed(colour, JPEG, rows=24, columns=40, bits_allocated=8)
    with pytest.raises(PixelError, match="16 bits"):
        decode_compressed(ENCODERS[J2K](noise(16)), J2K, rows=24, columns=40, bits_allocated=8)


@pytest.mark.parametrize("syntax", ENCODERS)
def test_cut_and_foreign_codestreams_are_errors_of_our_own(syntax):
    """Wherever a frame was cut, and whatever else stands in its place, the decoders' own errors stay inside."""
    frame = ENCODERS[syntax](noise(12))
    half = len(frame) // 2
    cut = (b"", frame[:3], frame[:30], frame[:60], frame[:half], frame[:-20], frame[:-1])
    foreign = (b"\xff" * 200, b"\0" * 200, frame[::-1], b"\xff\xd8" + frame[half:])
    for broken in (*cut, *foreign):
        with pytest.raises(PixelError):
            decode_compressed(broken, syntax, rows=24, columns=40, bits_allocated=16)


@pytest.mark.parametrize("syntax", [SV1, JPEG_LS, J2K, HTJ2K])
def test_the_second_decoder_steps_in(syntax, monkeypatch):
    """Where the first decoder refuses, the one behind it decodes the same bits."""
    values = noise(12)

    def refuses(_: bytes):
        raise RuntimeError("not today")

    _, second = codecs._DECODERS[syntax]
    monkeypatch.setitem(codecs._DECODERS, syntax, (refuses, second))
    decoded = decode_compressed(ENCODERS[syntax](values), syntax, rows=24, columns=40, bits_allocated=16)
    assert np.array_equal(decoded, values)


def rle_frame(*segments: bytes, count: int | None = None) -> bytes:
    offsets, place = [], 64
    for segment in segments:
        offsets.append(place)
        place += len(segment)
    offsets += [0] * (15 - len(offsets))
    return struct.pack("<16L", len(segments) if count is None else count, *offsets) + b"".join(segments)


def test_rle_bytes_are_most_significant_first():
    """PS3.5 G.2: the first segment holds the high bytes."""
    frame = rle_frame(b"\x03\x01\x02\x03\x04", b"\xfd\x09")
    decoded = decode_compressed(frame, RLE, rows=2, columns=2, bits_allocated=16)
    assert decoded.tolist() == [[0x0109, 0x0209], [0x0309, 0x0409]]


RLE_LIES = {
    "one segment for two": rle_frame(b"\x03\x01\x02\x03\x04"),
    "a count of 255": rle_frame(b"\x03\x01\x02\x03\x04", b"\xfd\x09", count=255),
    "segments in the wrong order": struct.pack("<16L", 2, 64, 10, *[0] * 13) + b"\xfd\x09\xfd\x09",
    "a segment beyond the end": struct.pack("<16L", 2, 64, 9999, *[0] * 13) + b"\xfd\x09\xfd\x09",
    "too few pixels": rle_frame(b"\x01\x01\x02", b"\xfd\x09"),
}


@pytest.mark.parametrize("frame", RLE_LIES.values(), ids=RLE_LIES)
def test_rle_lies_are_refused(frame):
    """The header's count, order and ends are checked, and each segment must hold all pixels."""
    with pytest.raises(PixelError):
        decode_compressed(frame, RLE, rows=2, columns=2, bits_allocated=16)


def test_a_small_rle_frame_cannot_claim_gigabytes():
    """Two bytes of PackBits make at most 128: 1.5 kB cannot be 65535 x 65535 pixels, and nothing is allocated."""
    frame = rle_frame(b"\x81\x00" * 350, b"\x81\x00" * 350)
    with pytest.raises(PixelError, match="cannot hold"):
        decode_compressed(frame, RLE, rows=65535, columns=65535, bits_allocated=16)
