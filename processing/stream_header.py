"""What a compressed frame says of itself: its size is compared with the header's before any decoder sees it.

A decoder allocates what the codestream claims, and a claim costs a few bytes: 1.5 kB can ask for 4 GB.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from processing.errors import PixelError

_RETIRED_JPEG = ("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")  # progressive; old archives hold them
JPEG_SYNTAXES = frozenset({
    JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, *_RETIRED_JPEG
})  # fmt: skip
JPEG_LS_SYNTAXES = frozenset({JPEGLSLossless, JPEGLSNearLossless})
JPEG_2000_SYNTAXES = frozenset({JPEG2000Lossless, JPEG2000})
HTJ2K_SYNTAXES = frozenset({HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})

_SOI = b"\xff\xd8"
_END = b"\xff\xd9"  # EOI of JPEG and JPEG-LS, EOC of JPEG 2000
_PADDING = b"\0\xff"
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # F7: JPEG-LS
_START_OF_SCAN = 0xDA
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_SOC_SIZ = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_SIZ = struct.Struct(">HHIIIIIIIIHB")
_RLE_HEADER = struct.Struct("<16L")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHeader:
    """What one compressed frame claims to hold."""

    rows: int
    columns: int
    components: int
    bits: int
    """Bits of one sample, as the codestream numbers them."""


def read_stream_header(frame: bytes, transfer_syntax_uid: str) -> StreamHeader:
    """Return what a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream claims to hold.

    Raises
    ------
    PixelError
        If the bytes are no such codestream, or have no end: decoders fill up what was cut off, without a word.
    """
    if not frame.rstrip(_PADDING).endswith(_END):
        raise PixelError("The codestream has no end: it is damaged or cut short.")
    if transfer_syntax_uid in JPEG_SYNTAXES | JPEG_LS_SYNTAXES:
        return _jpeg_header(frame)
    return _jpeg_2000_header(frame)


def _jpeg_header(frame: bytes) -> StreamHeader:
    """Source: ISO/IEC 10918-1 B.2.2; ISO/IEC 14495-1 C.2.2 has the same form."""
    for marker, start in jpeg_segments(frame):
        if marker in _START_OF_FRAME:
            if start + 8 > len(frame):
                break
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, start + 2)
            return StreamHeader(rows=rows, columns=columns, components=components, bits=bits)
    raise PixelError("The JPEG codestream has no frame header.")


def jpeg_segments(frame: bytes) -> list[tuple[int, int]]:
    """Return (marker, offset of its length) of each segment up to and with the first start of scan."""
    if frame[:2] != _SOI:
        raise PixelError("The frame does not begin as a JPEG codestream.")
    segments: list[tuple[int, int]] = []
    place = 2
    while place + 4 <= len(frame):
        if frame[place] != 0xFF:
            raise PixelError("The JPEG codestream's segments do not follow each other.")
        marker = frame[place + 1]
        place += 1 if marker == 0xFF else 2  # a fill byte before a marker is allowed
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            continue
        segments.append((marker, place))
        if marker == _START_OF_SCAN:
            break
        place += int.from_bytes(frame[place : place + 2], "big")
    return segments


def _jpeg_2000_header(frame: bytes) -> StreamHeader:
    """Source: ISO/IEC 15444-1 A.5.1; a JP2 file around the codestream is tolerated."""
    start = frame.find(_SOC_SIZ) if frame.startswith(_JP2_SIGNATURE) else 0
    if start < 0 or frame[start : start + 4] != _SOC_SIZ or start + 4 + _SIZ.size > len(frame):
        raise PixelError("The frame does not begin as a JPEG 2000 codestream.")
    _, _, width, height, left, top, _, _, _, _, components, precision = _SIZ.unpack_from(frame, start + 4)
    return StreamHeader(
        rows=height - top, columns=width - left, components=components, bits=(precision & 0x7F) + 1
    )


def check_rle_header(frame: bytes, segments: int) -> None:
    """Raise PixelError unless an RLE frame has so many segments, one after another and within the frame.

    Source
    ------
    PS3.5 G.5: 16 unsigned 32-bit numbers, the count of segments and their offsets.
    """
    if len(frame) < _RLE_HEADER.size:
        raise PixelError(f"The RLE frame has {len(frame)} bytes, fewer than its header.")
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    if count != segments:
        raise PixelError(f"The RLE frame has {count} segments in place of {segments}.")
    used = [_RLE_HEADER.size, *offsets[1:count], len(frame)]
    if offsets[0] != _RLE_HEADER.size or any(a >= b for a, b in itertools.pairwise(used)):
        raise PixelError("The RLE frame's segments do not follow each other.")


def rle_segments(frame: bytes) -> tuple[bytes, ...]:
    """Return the segments of an RLE frame whose header was checked."""
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    ends = [*offsets[1:count], len(frame)]
    return tuple(frame[start:end] for start, end in zip(offsets[:count], ends, strict=True))
