"""Frames that hold a whole volume as tiles: Siemens mosaics and UIH tiled grids.

Such a frame must never pass for one slice. What says so is vendors' own: the word MOSAIC or VFRAME in Image
Type is not always kept by those who rewrite headers, so the vendors' counts are looked at too.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pydicom

_CSA_NAME = b"NumberOfImagesInMosaic"
_CSA_TAG_HEADER = struct.Struct("<64si4siii")  # name, VM, VR, VR number, items, check word
_CSA_ITEM_HEADER = struct.Struct("<iiii")  # the second number is the item's length


def tile_count(dataset: pydicom.Dataset, image_type: tuple[str, ...]) -> int:
    """Return how many slices one frame of `dataset` holds: 1 for a plain frame.

    Returns
    -------
    int
        The vendor's count where it is given, 2 where the frame is known to be tiled and no count is given.

    Source
    ------
    Not the standard: Siemens (0019,100A) and the CSA header (0029,1010); UIH (0065,1050) and (0065,1051).
    """
    counted = max(_siemens_count(dataset), _uih_count(dataset))
    named = "MOSAIC" in image_type or "VFRAME" in image_type
    return max(counted, 2 if named else 1)


def _private(dataset: pydicom.Dataset, group: int, creator: str, offset: int) -> Any:
    try:
        return dataset.private_block(group, creator)[offset].value
    except (KeyError, ValueError, TypeError, NotImplementedError):
        return None


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 1


def _siemens_count(dataset: pydicom.Dataset) -> int:
    plain = _private(dataset, 0x0019, "SIEMENS MR HEADER", 0x0A)
    header = _private(dataset, 0x0029, "SIEMENS CSA HEADER", 0x10)
    in_header = csa_mosaic_count(header) if isinstance(header, bytes) else 1
    return max(_integer(plain), in_header)


def _uih_count(dataset: pydicom.Dataset) -> int:
    return _integer(_private(dataset, 0x0065, "Image Private Header", 0x50))


def csa_mosaic_count(header: bytes) -> int:
    """Return NumberOfImagesInMosaic of a Siemens CSA image header, or 1 where it has no value.

    Plain frames have the tag as well, without items or with empty ones.
    """
    start = header.find(_CSA_NAME + b"\0")
    if start < 0 or start + _CSA_TAG_HEADER.size > len(header):
        return 1
    items = _CSA_TAG_HEADER.unpack_from(header, start)[4]
    place = start + _CSA_TAG_HEADER.size
    for _ in range(min(items, 100)):
        if place + _CSA_ITEM_HEADER.size > len(header):
            break
        length = _CSA_ITEM_HEADER.unpack_from(header, place)[1]
        place += _CSA_ITEM_HEADER.size
        if length > 0:
            text = header[place : place + min(length, 64)].split(b"\0")[0].strip()
            return int(text) if text.isdigit() else 1
    return 1
