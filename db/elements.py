"""The strict reader of raw data sets: it walks every element, without recursion and without copying.

Strict is what protects whoever reads the data set later: lengths add up, delimiters match, and nothing nests or
repeats beyond what real instances do. Lenient is what every toolkit reads and real devices send: tags out of
order, unknown VRs, odd lengths, zero padding at the end, implicit VR where explicit was promised.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from pydicom.datadict import dictionary_VR, keyword_dict

from db.deflated import DEFLATED_SYNTAXES, inflate
from db.errors import MalformedDatasetError

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_DEPTH: Final = 64
"""How deep items may nest."""
MAX_ELEMENTS: Final = 2_000_000
"""How many elements, items and fragments a data set may have: an enhanced instance of 30,000 frames fits."""
MAX_EMPTY_ITEMS: Final = 10_000
"""How many items may hold nothing; each costs a reader a kilobyte and its sender eight bytes."""
MAX_VALUE_BYTES: Final = 4096
"""How much of a wanted value is kept."""

_EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"


_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_DELIMITER = 0xFFFEE00D
_SEQUENCE_DELIMITER = 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010

# PS3.5 tables 7.1-1 and 7.1-2: which VRs have two reserved bytes and a length of 32 bits.
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_SHORT_VRS = frozenset(
    {
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS"),
        *(b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    }
)


class RawValue(NamedTuple):
    """One element's value as it stands in the data set."""

    vr: bytes | None
    """None in implicit VR."""
    value: bytes
    """As much of its beginning as was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """The wanted elements of the top level of a data set."""

    values: dict[int, RawValue]
    little_endian: bool


def read_elements(
    dataset: bytes | memoryview,
    transfer_syntax_uid: str,
    wanted: Collection[int] | None,
    most_bytes: int = MAX_VALUE_BYTES,
) -> Elements:
    """Return the wanted top-level elements of a data set after checking the whole of it.

    Parameters
    ----------
    dataset
        The data set as it was sent, without file meta information.
    transfer_syntax_uid
        How it is encoded; every UID not known here is explicit VR little endian (PS3.5 section A.4).
    wanted
        Tags, as ``0xGGGGEEEE``; None for all. Of repeated elements the last is returned. Sequences are empty.
    most_bytes
        How much of each value is kept.

    Raises
    ------
    MalformedDatasetError
        If a length runs past its container, a delimiter is missing or out of place, a limit of this module
        is exceeded, or an element of group 0000 or 0002 stands at the top level.

    Source
    ------
    PS3.5 chapter 7 and section A.4; 6.2.2 for UN of undefined length.
    """
    if transfer_syntax_uid in DEFLATED_SYNTAXES:
        dataset = memoryview(inflate(memoryview(dataset)))
    little_endian = transfer_syntax_uid != _EXPLICIT_BIG_ENDIAN
    scan = _Scan(
        memoryview(dataset), None if wanted is None else frozenset(wanted), little_endian=little_endian
    )
    scan.run(implicit=transfer_syntax_uid == _IMPLICIT_LITTLE_ENDIAN)
    return Elements(values=scan.values(most_bytes), little_endian=little_endian)


@cache
def sequence_tags() -> frozenset[int]:
    """Return the tags that the data dictionary knows as sequences: implicit VR does not say."""
    return frozenset(tag for tag in keyword_dict.values() if dictionary_VR(tag) == "SQ")


class _Container(NamedTuple):
    """What is being read: a data set or a sequence, and where it must end."""

    start: int
    end: int
    delimited: bool
    """Of undefined length: a delimiter ends it, somewhere before `end`."""
    holds_items: bool
    implicit: bool


class _Header(NamedTuple):
    tag: int
    vr: bytes | None
    length: int
    value: int
    """Where the value starts."""


class _Scan:
    """One walk over one data set; what is open lies on a stack of its own, not on Python's."""

    def __init__(self, data: memoryview, wanted: frozenset[int] | None, *, little_endian: bool) -> None:
        order = "<" if little_endian else ">"
        self._data = data
        self._wanted = wanted
        self._explicit = Struct(order + "HH2sH").unpack_from
        self._implicit = Struct(order + "HHL").unpack_from
        self._length = Struct(order + "L").unpack_from
        self._spans: dict[int, tuple[bytes | None, int, int]] = {}
        self._stack: list[_Container] = []
        self._position = 0
        self._count = 0
        self._empty_items = 0

    def run(self, *, implicit: bool) -> None:
        """Walk from the first byte to the last."""
        implicit = self._starts_implicit(implicit=implicit)
        self._stack.append(_Container(0, len(self._data), False, False, implicit))
        while self._stack:
            here = self._stack[-1]
            if here.holds_items:
                self._read_item(here)
            else:
                self._read_dataset(here)

    def values(self, most_bytes: int) -> dict[int, RawValue]:
        """Return the beginnings of the wanted values."""
        return {
            tag: RawValue(vr, bytes(self._data[start : min(stop, start + most_bytes)]))
            for tag, (vr, start, stop) in self._spans.items()
        }

    # ---- data sets

    def _read_dataset(self, here: _Container) -> None:
        position = self._skip_implicit(here) if here.implicit else self._skip_explicit(here)
        if position + 8 <= here.end:
            self._read_special(here, position)
            return
        if here.delimited:
            self._fail("an item has no delimiter", position)
        if position != here.end and not (self._at_top and self._is_zero(position)):
            self._fail("the data set ends within an element", position)
        self._close(here, here.end)

    def _skip_explicit(self, here: _Container) -> int:
        """Return where the first element lies that is not plain; the wanted ones on the way are noted."""
        data, head, end, at_top = self._data, self._explicit, here.end, self._at_top
        position, count, wanted = self._position, self._count, self._wanted
        while position + 8 <= end:
            group, number, vr, length = head(data, position)
            start = position + 8
            if vr not in _SHORT_VRS:
                if vr not in _LONG_VRS or start + 4 > end:
                    break
                length = self._length(data, start)[0]
                start += 4
                if length == _UNDEFINED or (length and vr == b"SQ"):
                    break
            if start + length > end:
                self._fail("a value runs past the end", position, group << 16 | number)
            if at_top:
                if group <= 2:
                    break
                tag = group << 16 | number
                if wanted is None or tag in wanted:
                    self._spans[tag] = (vr, start, start + length)
            position = start + length
            count += 1
            if count > MAX_ELEMENTS:
                self._fail("there are too many elements", position)
        self._count = count
        return position

    def _skip_implicit(self, here: _Container) -> int:
        """Return where the first element lies that is not plain; the wanted ones on the way are noted."""
        data, head, end, at_top = self._data, self._implicit, here.end, self._at_top
        position, count, wanted, sequences = self._position, self._count, self._wanted, sequence_tags()
        while position + 8 <= end:
            group, number, length = head(data, position)
            tag = group << 16 | number
            if length == _UNDEFINED or (length and tag in sequences):
                break
            if group == 0xFFFE or (at_top and group <= 2):
                break
            start = position + 8
            if start + length > end:
                self._fail("a value runs past the end", position, tag)
            if at_top and (wanted is None or tag in wanted):
                self._spans[tag] = (None, start, start + length)
            position = start + length
            count += 1
            if count > MAX_ELEMENTS:
                self._fail("there are too many elements", position)
        self._count = count
        return position

    def _read_special(self, here: _Container, position: int) -> None:
        """Read what is no plain element: delimiters, sequences, fragments, strange VRs, padding."""
        header = self._header(here, position)
        tag = header.tag
        self._tick(position)
        if tag >> 16 == 0xFFFE:
            self._end_item(here, header, position)
        elif self._at_top and tag >> 16 in (0, 2):
            self._end_padding(here, position, tag)
        elif _is_sequence(header) and self._has_items(here, header):
            self._open_sequence(here, header, position)
        elif header.length == _UNDEFINED:
            self._read_fragments(here, header, position)
        else:
            self._note(header, self._stop(here, header, position))

    def _header(self, here: _Container, position: int) -> _Header:
        """Return the element at `position`, which may have strayed into implicit VR."""
        if not here.implicit:
            group, number, vr, length = self._explicit(self._data, position)
            tag = group << 16 | number
            if vr in _LONG_VRS:
                if position + 12 > here.end:
                    self._fail("an element ends within its length", position, tag)
                return _Header(tag, vr, self._length(self._data, position + 8)[0], position + 12)
            if _is_letters(vr):
                return _Header(tag, vr, length, position + 8)
        group, number, length = self._implicit(self._data, position)
        return _Header(group << 16 | number, None, length, position + 8)

    def _note(self, header: _Header, stop: int) -> None:
        if self._at_top and (self._wanted is None or header.tag in self._wanted):
            self._spans[header.tag] = (header.vr, header.value, stop)
        self._position = stop

    def _stop(self, here: _Container, header: _Header, position: int) -> int:
        stop = header.value + header.length
        if stop > here.end:
            self._fail("a value runs past the end", position, header.tag)
        return stop

    def _end_item(self, here: _Container, header: _Header, position: int) -> None:
        stop = position + 8
        inside = not self._at_top and (here.delimited or stop == here.end)
        if header.tag != _ITEM_DELIMITER or not inside:
            self._fail("a delimiter is out of place", position, header.tag)
        self._close(here, stop, empty=position == here.start)

    def _end_padding(self, here: _Container, position: int, tag: int) -> None:
        if tag or not self._is_zero(position):
            self._fail("groups 0000 and 0002 do not belong in a data set", position, tag)
        self._close(here, here.end)

    # ---- sequences

    def _open_sequence(self, here: _Container, header: _Header, position: int) -> None:
        delimited = header.length == _UNDEFINED
        end = here.end if delimited else self._stop(here, header, position)
        if len(self._stack) > 2 * MAX_DEPTH:
            self._fail(f"items nest deeper than {MAX_DEPTH}", position, header.tag)
        self._note(header, header.value)
        self._stack.append(_Container(header.value, end, delimited, True, here.implicit))
        self._position = header.value

    def _has_items(self, here: _Container, header: _Header) -> bool:
        """Whether a sequence is one: in implicit VR the dictionary may say so where the sender wrote text."""
        if header.vr is not None or header.length in {_UNDEFINED, 0}:
            return True
        if header.value + 8 > here.end:
            return False
        group, number, _length = self._implicit(self._data, header.value)
        return bool(group << 16 | number == _ITEM)

    def _read_item(self, here: _Container) -> None:
        position = self._position
        if position == here.end and not here.delimited:
            self._close(here, position)
            return
        tag, length = self._item_header(here, position)
        if tag == _SEQUENCE_DELIMITER and (here.delimited or position + 8 == here.end):
            self._close(here, position + 8)
        elif tag == _ITEM:
            self._open_item(here, position + 8, length)
        else:
            self._fail("an item was expected", position, tag)

    def _open_item(self, here: _Container, start: int, length: int) -> None:
        delimited = length == _UNDEFINED
        end = here.end if delimited else start + length
        if end > here.end:
            self._fail("an item runs past the end", start - 8)
        implicit = here.implicit or self._looks_implicit(start, end)
        self._stack.append(_Container(start, end, delimited, False, implicit))
        self._position = start

    def _read_fragments(self, here: _Container, header: _Header, position: int) -> None:
        """Skip encapsulated pixel data by the lengths of its fragments (PS3.5 section A.4)."""
        if header.vr not in (b"OB", b"OW") and header.tag != _PIXEL_DATA:
            self._fail("an undefined length is not allowed here", position, header.tag)
        at = header.value
        while True:
            tag, length = self._item_header(here, at)
            if tag == _SEQUENCE_DELIMITER:
                break
            if tag != _ITEM or length > here.end - at - 8:
                self._fail("a fragment was expected", at, tag)
            at += 8 + length
        self._note(header, at + 8)

    def _item_header(self, here: _Container, position: int) -> tuple[int, int]:
        self._tick(position)
        if position + 8 > here.end:
            self._fail("a sequence has no delimiter", position)
        group, number, length = self._implicit(self._data, position)
        return group << 16 | number, length

    # ---- the walk

    @property
    def _at_top(self) -> bool:
        return len(self._stack) == 1

    def _close(self, here: _Container, position: int, *, empty: bool | None = None) -> None:
        """Leave the innermost container; an item that held nothing is counted."""
        self._stack.pop()
        self._position = position
        if not here.holds_items and (empty or position == here.start):
            self._empty_items += 1
            if self._empty_items > MAX_EMPTY_ITEMS:
                self._fail("there are too many empty items", position)

    def _tick(self, position: int) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            self._fail("there are too many elements", position)

    def _starts_implicit(self, *, implicit: bool) -> bool:
        """Whether the data set begins in implicit VR, whatever its transfer syntax promises."""
        vr = bytes(self._data[4:6])
        if implicit:
            return vr not in _SHORT_VRS and vr not in _LONG_VRS
        return self._looks_implicit(0, len(self._data))

    def _looks_implicit(self, start: int, end: int) -> bool:
        return start + 6 <= end and not _is_letters(bytes(self._data[start + 4 : start + 6]))

    def _is_zero(self, position: int) -> bool:
        rest = self._data[position:]
        pieces = (rest[at : at + 65536] for at in range(0, len(rest), 65536))
        return not any(bytes(piece).strip(b"\0") for piece in pieces)

    def _fail(self, reason: str, position: int, tag: int | None = None) -> NoReturn:
        element = "" if tag is None else f" at ({tag >> 16:04x},{tag & 0xFFFF:04x})"
        raise MalformedDatasetError(f"{reason}{element}, offset {position}", offset=position)


def _is_letters(vr: bytes) -> bool:
    return len(vr) == 2 and 0x41 <= vr[0] <= 0x5A and 0x41 <= vr[1] <= 0x5A


def _is_sequence(header: _Header) -> bool:
    if header.vr == b"SQ":
        return True
    if header.length == _UNDEFINED:
        # UN of undefined length is a sequence (PS3.5 section 6.2.2), and so is what implicit VR does not name.
        return header.vr in (None, b"UN") and header.tag != _PIXEL_DATA
    return header.vr is None and header.tag in sequence_tags()
