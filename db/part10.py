"""The head of our files: preamble and file meta information before the data set."""

from __future__ import annotations

import struct

# Ours, made from a random UUID (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.146166049890741917263527252331047905825"
IMPLEMENTATION_VERSION_NAME = "DARKROOM_1"

PREAMBLE_BYTES = 128


def encode_head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return what stands before the data set in a file of the store.

    The same UIDs always give the same bytes: no date, AE title or version of the program is in them. They are
    part of what a file's name is made of, so they never change for a data set that is stored already.

    Source
    ------
    PS3.10 section 7.1, table 7.1-1.
    """
    elements = b"".join(
        (
            _element(0x0001, b"OB", b"\x00\x01"),
            _element(0x0002, b"UI", _even(sop_class_uid, b"\0")),
            _element(0x0003, b"UI", _even(sop_instance_uid, b"\0")),
            _element(0x0010, b"UI", _even(transfer_syntax_uid, b"\0")),
            _element(0x0012, b"UI", _even(IMPLEMENTATION_CLASS_UID, b"\0")),
            _element(0x0013, b"SH", _even(IMPLEMENTATION_VERSION_NAME, b" ")),
        )
    )
    length = _element(0x0000, b"UL", struct.pack("<I", len(elements)))
    return bytes(PREAMBLE_BYTES) + b"DICM" + length + elements


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    # PS3.5 section 7.1.2: OB has two reserved bytes and a length of four, the others a length of two.
    layout = "<HH2s2xI" if vr == b"OB" else "<HH2sH"
    return struct.pack(layout, 0x0002, number, vr, len(value)) + value


def _even(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii")
    return value + padding if len(value) % 2 else value
