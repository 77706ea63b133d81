"""tile_count: frames that hold a whole volume never pass for one slice."""

from __future__ import annotations

import struct

import pytest

from processing.frames import read_header
from processing.selection import left_out_reason
from processing.tiling import csa_mosaic_count
from tests.series_factory import SeriesGeometry, mr_series


def csa_header(value: bytes | None) -> bytes:
    """A Siemens CSA2 header with one tag, NumberOfImagesInMosaic, empty for plain images."""
    items = b"" if value is None else struct.pack("<4i", len(value), len(value), 77, len(value)) + value
    empty = struct.pack("<4i", 0, 0, 77, 0)
    count = 1 if value is None else 2
    tag = struct.pack("<64si4siii", b"NumberOfImagesInMosaic", 1, b"US\0\0", 6, count, 77)
    return b"SV10\4\3\2\1" + struct.pack("<II", 1, 77) + tag + empty + items


def plain_slice():
    (dataset,) = mr_series(SeriesGeometry(slices=1))
    return dataset


def mosaic_by_name():
    dataset = plain_slice()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    return dataset


def mosaic_by_count():
    dataset = plain_slice()
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 36)
    return dataset


def mosaic_by_csa():
    dataset = plain_slice()
    dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(
        0x10, "OB", csa_header(b"36\0\0")
    )
    return dataset


def uih_grid():
    dataset = plain_slice()
    dataset.private_block(0x0065, "Image Private Header", create=True).add_new(0x50, "DS", "20")
    return dataset


@pytest.mark.parametrize("make", [mosaic_by_name, mosaic_by_count, mosaic_by_csa, uih_grid])
def test_tiled_frames_are_refused_whichever_sign_they_carry(make):
    """The word in Image Type, either Siemens count or the UIH count is enough."""
    header = read_header(make())
    assert header.tile_count > 1
    code, sentence = left_out_reason(header)
    assert code == "tiled-frames"
    assert "several slices as tiles" in sentence


def test_plain_frames_of_the_same_vendors_pass():
    """A plain Siemens image has the CSA tag too, without a value."""
    dataset = plain_slice()
    dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", csa_header(None))
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 1)
    dataset.private_block(0x0065, "Image Private Header", create=True).add_new(0x50, "DS", "1")
    header = read_header(dataset)
    assert header.tile_count == 1
    assert left_out_reason(header) is None


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_a_damaged_csa_header_is_no_crash(cut):
    """However short it was cut, the count is a number."""
    assert csa_mosaic_count(csa_header(b"36\0\0")[:cut]) in {1, 3, 36}
