"""Codestreams without comments, application data and trailing bytes, and with the same pixels."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest

from processing.codestream import clean_jpeg, clean_jpeg2000, clean_rle
from processing.errors import DeidentificationError

NAME = b"Zwartkijker^Ottoline"
PICTURE = np.random.default_rng(7).integers(0, 256, (32, 48), dtype=np.uint8)


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def with_segments(codestream: bytes, *segments: bytes) -> bytes:
    return codestream[:2] + b"".join(segments) + codestream[2:]


JPEGS = {
    "baseline": (imagecodecs.jpeg_encode(PICTURE, level=90), imagecodecs.jpeg_decode),
    "lossless": (imagecodecs.ljpeg_encode(PICTURE), imagecodecs.ljpeg_decode),
    "jpeg-ls": (imagecodecs.jpegls_encode(PICTURE), imagecodecs.jpegls_decode),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg_loses_its_comments_and_keeps_its_pixels(kind: str) -> None:
    # COM, Exif, ICC, a thumbnail in JFIF, a note behind Adobe's twelve bytes, and bytes behind the end.
    codestream, decode = JPEGS[kind]
    planted = with_segments(
        codestream,
        segment(0xFE, NAME),
        segment(0xE0, b"JFIF\0\x01\x02\x01\x00\x48\x00\x48\x01\x01" + NAME[:3] + NAME),
        segment(0xE1, b"Exif\0\0" + NAME),
        segment(0xE2, b"ICC_PROFILE\0" + NAME),
        segment(0xEE, b"Adobe\0\x64\0\0\0\0\x00" + NAME),
        segment(0xED, NAME),
    )
    cleaned = clean_jpeg(planted + NAME)
    assert NAME not in cleaned
    assert NAME[:12] not in cleaned
    assert cleaned.endswith(b"\xff\xd9")
    np.testing.assert_array_equal(decode(cleaned), decode(codestream))


@pytest.mark.parametrize("kind", JPEGS)
def test_a_clean_jpeg_is_left_as_it_is(kind: str) -> None:
    # Cleaning twice is cleaning once.
    cleaned = clean_jpeg(JPEGS[kind][0])
    assert clean_jpeg(cleaned) == cleaned


def test_a_comment_between_scans_goes_also() -> None:
    # A progressive JPEG has many scans, and a segment may stand between any two of them.
    codestream = imagecodecs.jpeg_encode(PICTURE, level=90)
    start = codestream.index(b"\xff\xda")
    planted = codestream[:start] + segment(0xFE, NAME) + codestream[start:]
    assert NAME not in clean_jpeg(planted)


def test_what_decoders_need_stays() -> None:
    # Without Adobe's transform flag a colour image would change its colours.
    planted = with_segments(JPEGS["baseline"][0], segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01" + NAME))
    assert segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01") in clean_jpeg(planted)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"no JPEG at all",
        b"\xff\xd8\xff\xfe\x00\xff",  # a segment longer than the frame
        b"\xff\xd8\xff\x01\x00\x02\xff\xd9",  # a marker that JPEG does not have
        JPEGS["baseline"][0][:-2],  # no end
        b"\xff\xd8Zwartkijker",
    ],
)
def test_a_jpeg_that_cannot_be_followed_is_refused(damaged: bytes) -> None:
    # Bytes that are not understood could say anything.
    with pytest.raises(DeidentificationError, match="JPEG"):
        clean_jpeg(damaged)


def jpeg2000(*, comment_in_tile: bool = False) -> bytes:
    codestream = imagecodecs.jpeg2k_encode(PICTURE, level=0, codecformat="j2k")
    comment = b"\xff\x64" + struct.pack(">HH", len(NAME) + 4, 1) + NAME
    start = codestream.index(b"\xff\x90")
    if not comment_in_tile:
        return codestream[:start] + comment + codestream[start:]
    length = struct.unpack_from(">I", codestream, start + 6)[0]
    longer = struct.pack(">I", length + len(comment)) if length else bytes(4)
    return (
        codestream[: start + 6]
        + longer
        + codestream[start + 10 : start + 12]
        + comment
        + codestream[start + 12 :]
    )


@pytest.mark.parametrize("comment_in_tile", [False, True])
def test_jpeg2000_loses_its_comments_and_keeps_its_pixels(comment_in_tile: bool) -> None:
    # In the main header and in a tile-part's; the codestream keeps its length, so pointers into it stay true.
    planted = jpeg2000(comment_in_tile=comment_in_tile)
    cleaned = clean_jpeg2000(planted + NAME)
    assert NAME not in cleaned
    assert len(cleaned) == len(planted)
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(cleaned), PICTURE)


def test_the_encoders_own_comment_goes_also() -> None:
    # OpenJPEG signs its work with its version.
    assert b"OpenJPEG" in jpeg2000()
    assert b"OpenJPEG" not in clean_jpeg2000(jpeg2000())


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x00\x00\x00\x0cjP  \r\n\x87\n",  # a JP2 file: its boxes do not belong in DICOM
        jpeg2000()[:100],
        jpeg2000()[:-2],
    ],
)
def test_a_jpeg2000_that_cannot_be_followed_is_refused(damaged: bytes) -> None:
    with pytest.raises(DeidentificationError, match="JPEG 2000"):
        clean_jpeg2000(damaged)


def rle(*segments: bytes) -> bytes:
    starts = [64 + sum(map(len, segments[:index])) for index in range(len(segments))]
    return struct.pack(f"<{len(segments) + 1}I", len(segments), *starts).ljust(64, b"\0") + b"".join(segments)


LITERAL = b"\x03abcd"  # four bytes as they are
RUN = b"\xfdz"  # four times z


def test_rle_loses_what_is_behind_its_segments() -> None:
    # Eight pixels in a segment; then a name, where a decoder that has its pixels does not look.
    cleaned = clean_rle(rle(LITERAL + RUN + NAME, RUN + LITERAL + NAME), pixels=8)
    assert cleaned == rle(LITERAL + RUN + b"\0", RUN + LITERAL + b"\0")


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        rle(LITERAL),  # too few pixels
        rle(LITERAL + b"\x08abcdefghi"),  # too many
        struct.pack("<16I", 1, 4_000_000, *[0] * 14) + LITERAL + RUN,  # a segment outside the frame
        struct.pack("<16I", 16, *[64] * 15) + LITERAL + RUN,  # more segments than the header has places
    ],
)
def test_an_rle_that_cannot_be_followed_is_refused(damaged: bytes) -> None:
    with pytest.raises(DeidentificationError, match="RLE"):
        clean_rle(damaged, pixels=8)
