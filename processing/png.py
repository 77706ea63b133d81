"""Pictures to PNG files: lossless, and the same bytes for the same picture.

Each row is kept as its difference to the row above and compressed by igzip, as NIfTI files are: some forty times
as fast as the usual encoders' own search for the best filter, and a quarter larger.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from isal import isal_zlib

from processing.errors import OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FASTEST = 1
_UP = 2
_COLOUR_TYPES = {1: 0, 3: 2}  # channels: greyscale, truecolour
_LARGEST_SIDE = 0x7FFFFFFF


def encode_png(picture: NDArray[Any]) -> bytes:
    """Return a picture as the bytes of a PNG file without any metadata, not even a time.

    Parameters
    ----------
    picture
        uint8, (rows, columns) grey or (rows, columns, 3) red, green, blue; not empty.

    Raises
    ------
    OutputError
        If the array is no such picture.

    Source
    ------
    PNG (third edition), 5.2 to 5.3 for the chunks, 9.2 for the filter Up, 11.2.1 for IHDR.
    """
    channels = 1 if picture.ndim == 2 else picture.shape[-1]
    if picture.dtype != np.uint8 or picture.ndim not in {2, 3} or channels not in _COLOUR_TYPES:
        raise OutputError(f"An array of {picture.dtype} with shape {picture.shape} is no picture.")
    rows, columns = picture.shape[:2]
    if not 0 < rows <= _LARGEST_SIDE or not 0 < columns <= _LARGEST_SIDE:
        raise OutputError(f"A picture of {rows} x {columns} cannot be written.")
    header = struct.pack(">IIBBBBB", columns, rows, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    compressed = isal_zlib.compress(_filtered(picture.reshape(rows, columns * channels)), FASTEST)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", compressed) + _chunk(b"IEND", b"")


def _filtered(lines: NDArray[np.uint8]) -> bytes:
    """Return the scan lines, each behind its filter type and as the difference to the one above (modulo 256)."""
    filtered = np.empty((lines.shape[0], lines.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    return filtered.tobytes()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
