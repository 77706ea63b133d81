"""Compressed frames without what is not image: comments, application segments and trailing bytes go, pixels do not change.

Each function takes one complete codestream and gives it back, cleaned, without decoding it. What cannot be walked from
start to end is refused: bytes that are not understood could say anything.
"""

from __future__ import annotations

import itertools
import re
import struct
from typing import NoReturn

from processing.errors import DeidentificationError

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_SOF_LS = 0xF7
_APPLICATION = range(0xE0, 0xF0)
# Frames and tables, JPEG-LS' own (F7, F8) and the tables every decoder knows.
_KNOWN = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xE0), *_APPLICATION, _SOF_LS, 0xF8, _COM})
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # stuffing, restarts and fill bytes belong to the scan
_SCAN_END_LS = re.compile(
    rb"\xff[\x80-\xcf\xd8-\xfe]"
)  # JPEG-LS stuffs one bit: below 80 is data (ISO 14495-1 A.1)

_JFIF = struct.pack(">5s2sBHHBB", b"JFIF\0", b"\x01\x01", 0, 1, 1, 0, 0)
_ADOBE = b"Adobe"
_ADOBE_BYTES = 12
_COLOUR_TRANSFORM = b"mrfx"

_SOC, _SOT, _SOD, _EOC, _J2K_COM = 0xFF4F, 0xFF90, 0xFF93, 0xFFD9, 0xFF64
_TILE_PART_BYTES = 12

_RLE_HEADER_BYTES = 64
_RLE_MAXIMUM_SEGMENTS = 15


def _refuse(kind: str, offset: int) -> NoReturn:
    raise DeidentificationError(
        f"the {kind} codestream cannot be followed at byte {offset}",
        hint="the frame is damaged, or not what it says",
    )


def clean_jpeg(codestream: bytes) -> bytes:
    """Return a JPEG or JPEG-LS codestream without COM and APPn segments, and without bytes after its end.

    What decoders need of the application segments stays, made anew: that it is JFIF, Adobe's colour transform, and the
    colour transform of JPEG-LS. Thumbnails, Exif and vendors' notes do not.

    Source
    ------
    ISO/IEC 10918-1 Annex B; ISO/IEC 14495-1 Annex C.
    """
    if codestream[:2] != b"\xff\xd8":
        _refuse("JPEG", 0)
    output = bytearray(b"\xff\xd8")
    position, lossless_scan = 2, False
    while True:
        position, marker = _next_marker(codestream, position)
        if marker == _EOI:
            output += b"\xff\xd9"
            return bytes(output)
        segment = _segment(codestream, position, "JPEG")
        if marker not in _KNOWN:
            _refuse("JPEG", position)
        output += _kept_segment(marker, segment)
        position += 2 + len(segment)
        lossless_scan = lossless_scan or marker == _SOF_LS
        if marker == _SOS:
            end = (_SCAN_END_LS if lossless_scan else _SCAN_END).search(codestream, position)
            if end is None:
                _refuse("JPEG", position)
            output += codestream[position : end.start()]
            position = end.start()


def _next_marker(codestream: bytes, position: int) -> tuple[int, int]:
    """Return the position after the next marker, and its code; fill bytes before it are passed over."""
    start = position
    while codestream[position : position + 1] == b"\xff":
        position += 1
    if position == start or position >= len(codestream):
        _refuse("JPEG", position)
    return position + 1, codestream[position]


def _segment(codestream: bytes, position: int, kind: str) -> bytes:
    """Return the content of the segment whose length stands at `position`."""
    length = int.from_bytes(codestream[position : position + 2], "big")
    segment = codestream[position + 2 : position + length]
    if length < 2 or len(segment) != length - 2:
        _refuse(kind, position)
    return segment


def _kept_segment(marker: int, segment: bytes) -> bytes:
    """Return a JPEG segment as it may leave, with marker and length; empty where it must go."""
    if marker == _COM:
        return b""
    if marker in _APPLICATION:
        segment = _kept_application(marker, segment)
        if not segment:
            return b""
    return bytes((0xFF, marker)) + (len(segment) + 2).to_bytes(2, "big") + segment


def _kept_application(marker: int, segment: bytes) -> bytes:
    if marker == _APPLICATION[0] and segment.startswith(b"JFIF\0"):
        return _JFIF
    if marker == _APPLICATION[14] and segment.startswith(_ADOBE) and len(segment) >= _ADOBE_BYTES:
        return segment[:_ADOBE_BYTES]
    if marker == _APPLICATION[8] and segment.startswith(_COLOUR_TRANSFORM):
        return segment[: len(_COLOUR_TRANSFORM) + 1]
    return b""


def clean_jpeg2000(codestream: bytes) -> bytes:
    """Return a JPEG 2000 or HTJ2K codestream with its comments zeroed, and without bytes after its end.

    The comments keep their place and length, so that no pointer into the codestream changes.

    Source
    ------
    ISO/IEC 15444-1 Annex A.
    """
    if codestream[:2] != b"\xff\x4f":
        _refuse("JPEG 2000", 0)  # a JP2 file's boxes do not belong in DICOM (PS3.5 A.4.4)
    output = bytearray(codestream)
    position = 2
    while (marker := _marker(output, position)) != _EOC:
        if marker == _SOT:
            position = _clean_tile_part(output, position)
        else:
            position = _clean_segment(output, position, marker)
    return bytes(output[: position + 2])


def _marker(codestream: bytes | bytearray, position: int) -> int:
    marker = int.from_bytes(codestream[position : position + 2], "big")
    if marker < _SOC:
        _refuse("JPEG 2000", position)
    return marker


def _clean_segment(codestream: bytearray, position: int, marker: int) -> int:
    """Zero the segment at `position` if it is a comment; return where the next one starts."""
    segment = _segment(bytes(codestream[position + 2 : position + 2 + 0xFFFF]), 0, "JPEG 2000")
    end = position + 4 + len(segment)
    if marker == _J2K_COM:
        codestream[position + 4 : end] = bytes(len(segment))
    return end


def _clean_tile_part(codestream: bytearray, start: int) -> int:
    """Zero the comments in the header of the tile-part at `start`; return where the next one starts.

    A tile-part of length 0 reaches to the end of the codestream (ISO/IEC 15444-1 A.4.2).
    """
    length = int.from_bytes(codestream[start + 6 : start + 10], "big")
    position = start + _TILE_PART_BYTES
    while (marker := _marker(codestream, position)) != _SOD:
        position = _clean_segment(codestream, position, marker)
    # Codes above FF8F cannot be in packet data, so the first end marker there is the end.
    end = start + length if length else codestream.find(_EOC.to_bytes(2, "big"), position)
    if end < position or end > len(codestream) - 2:
        _refuse("JPEG 2000", start)
    return end


def clean_rle(codestream: bytes, *, pixels: int) -> bytes:
    """Return an RLE codestream whose segments hold `pixels` bytes each and nothing behind them.

    Source
    ------
    PS3.5 Annex G.
    """
    segments = int.from_bytes(codestream[:4], "little")
    if len(codestream) < _RLE_HEADER_BYTES or not 1 <= segments <= _RLE_MAXIMUM_SEGMENTS:
        _refuse("RLE", 0)
    offsets = [*struct.unpack_from(f"<{segments}I", codestream, 4), len(codestream)]
    cleaned = []
    for start, stop in itertools.pairwise(offsets):
        if not _RLE_HEADER_BYTES <= start <= stop <= len(codestream):
            _refuse("RLE", start)
        segment = codestream[start : _packed_end(codestream, start, stop, pixels)]
        cleaned.append(segment + bytes(len(segment) % 2))
    starts = [_RLE_HEADER_BYTES + sum(map(len, cleaned[:index])) for index in range(segments)]
    header = struct.pack(f"<{segments + 1}I", segments, *starts).ljust(_RLE_HEADER_BYTES, b"\0")
    return header + b"".join(cleaned)


def _packed_end(codestream: bytes, position: int, stop: int, wanted: int) -> int:
    """Return where the runs that make `wanted` bytes end (PackBits, PS3.5 G.3.2)."""
    made = 0
    while made < wanted and position < stop:
        control = codestream[position]
        if control < 128:
            made += control + 1
            position += control + 2
        else:
            made += 257 - control if control > 128 else 0
            position += 2 if control > 128 else 1
    if made != wanted or position > stop:
        _refuse("RLE", position)
    return position
