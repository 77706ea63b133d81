"""DICOM files from the outside: where their data set begins, and how it is encoded.

Source
------
PS3.10 section 7.1 (preamble, prefix, File Meta Information in Explicit VR Little Endian).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from darkroom.errors import FileFormatError

_PREFIX_AT = 128
_PREFIX = b"DICM"
_META_GROUP = 0x0002
_LONG_VRS = frozenset(
    {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"UC", b"UR", b"UT", b"SQ", b"SV", b"UV"}
)
_TRANSFER_SYNTAX_UID = 0x0010


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHead:
    """What stands before the data set."""

    transfer_syntax_uid: str
    dataset_offset: int
    """In bytes."""


def is_part10(start: bytes | memoryview) -> bool:
    """Whether a file that starts so is a DICOM file."""
    return bytes(start[_PREFIX_AT : _PREFIX_AT + len(_PREFIX)]) == _PREFIX


def read_head(content: bytes | memoryview) -> FileHead:
    """Return the head of a DICOM file, found element by element: group lengths are often wrong.

    Raises
    ------
    FileFormatError
        If it is not one, ends within its File Meta Information, or names no transfer syntax.
    """
    if not is_part10(content):
        raise FileFormatError("It is not a DICOM file")
    position = _PREFIX_AT + len(_PREFIX)
    transfer_syntax_uid = ""
    try:
        while struct.unpack_from("<H", content, position)[0] == _META_GROUP:
            element, value, position = _read_element(content, position)
            if element == _TRANSFER_SYNTAX_UID:
                transfer_syntax_uid = value.rstrip(b"\0 ").decode("ascii")
    except (struct.error, UnicodeDecodeError) as error:
        raise FileFormatError("Its file meta information is damaged") from error
    if not transfer_syntax_uid:
        raise FileFormatError("It names no transfer syntax")
    return FileHead(transfer_syntax_uid=transfer_syntax_uid, dataset_offset=position)


def _read_element(content: bytes | memoryview, position: int) -> tuple[int, bytes, int]:
    """Return an element's number, its value, and where it ends."""
    element, vr = struct.unpack_from("<H2s", content, position + 2)
    if vr in _LONG_VRS:
        (length,) = struct.unpack_from("<I", content, position + 8)
        start = position + 12
    else:
        (length,) = struct.unpack_from("<H", content, position + 6)
        start = position + 8
    return element, bytes(content[start : start + length]), start + length
