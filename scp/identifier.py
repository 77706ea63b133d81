"""Identifiers: what peers ask with and are answered with in C-FIND, C-MOVE and C-GET.

They are read and written as bytes: a query may have a hundred thousand answers, and a `pydicom.Dataset` for each
would cost more than the search.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack, unpack
from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from db.charset import decode_text, encodings_of
from db.conditions import MAX_UIDS, Universal, parse_condition
from db.elements import read_elements
from db.errors import IdentityError, MalformedDatasetError, QueryError
from db.identity import check_uid
from db.query import ATTRIBUTES, LEVELS, UNIQUE_KEYS, Query, Root, can_answer, can_match
from db.records import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from db.elements import RawValue
    from db.query import Match

MAX_BYTES: Final = 2 << 20
"""How large an identifier may be: three lists of `MAX_UIDS` UIDs fit."""

_ROOTS: Final = {
    "1.2.840.10008.5.1.4.1.2.1": Root.PATIENT,
    "1.2.840.10008.5.1.4.1.2.2": Root.STUDY,
    "1.2.840.10008.5.1.4.1.2.3": Root.PATIENT_STUDY_ONLY,
}

_SPECIFIC_CHARACTER_SET = 0x00080005
_QUERY_RETRIEVE_LEVEL = 0x00080052
_RETRIEVE_AE_TITLE = 0x00080054
_TIMEZONE_OFFSET = 0x00080201
# They say how the identifier is to be read, or are always answered.
_NO_KEYS = frozenset({_SPECIFIC_CHARACTER_SET, _QUERY_RETRIEVE_LEVEL, _RETRIEVE_AE_TITLE, _TIMEZONE_OFFSET})

_LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_MOST_SHORT_BYTES = 0xFFFE


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveKeys:
    """What a C-MOVE or C-GET asks for."""

    level: Level
    uids: Mapping[str, tuple[str, ...]]
    """Values of the unique keys, by DICOM keyword: the level's own, and those of its parents that were given."""


def read_identifier(dataset: bytes, transfer_syntax_uid: str, sop_class_uid: str) -> Query:
    """Return the query that a C-FIND request asks.

    Keys that the index does not have, or not at this level, match everything and are returned empty. Private
    keys and group lengths are ignored.

    Parameters
    ----------
    dataset
        The request's identifier as it came.
    transfer_syntax_uid
        How it is encoded.
    sop_class_uid
        Which information model is queried.

    Raises
    ------
    QueryError
        If the identifier cannot be read, its level is missing or none of the model's, or a key's value cannot
        be understood.

    Source
    ------
    PS3.4 C.4.1.2 and C.4.1.3.
    """
    request = _Request(dataset, transfer_syntax_uid)
    level, root = request.level(sop_class_uid)
    conditions, returned, unsupported = {}, [], []
    for tag in request.keys():  # noqa: SIM118 (it is not a dict)
        keyword = keyword_for_tag(tag)
        if not can_answer(keyword, level):
            unsupported.append(tag)
            continue
        returned.append(keyword)
        condition = parse_condition(keyword, ATTRIBUTES[keyword].vr, request.text(tag))
        if can_match(keyword) and not isinstance(condition, Universal):
            conditions[keyword] = condition
    return Query(
        level=level,
        root=root,
        conditions=conditions,
        returned=tuple(returned),
        unsupported=tuple(unsupported),
    )


def write_identifier(match: Match, query: Query, transfer_syntax_uid: str, ae_title: str) -> bytes:
    """Return the identifier of one C-FIND response: the keys asked for, the level, and where to retrieve.

    Specific Character Set is there where a value is not ASCII; it is always UTF-8.

    Parameters
    ----------
    match
        One match of the query.
    query
        What was asked.
    transfer_syntax_uid
        How to encode it: that of the presentation context.
    ae_title
        Our own: from where the match can be retrieved.

    Source
    ------
    PS3.4 C.4.1.1.3.2.
    """
    elements = {tag: (_vr_of(tag), b"") for tag in query.unsupported}
    elements[_QUERY_RETRIEVE_LEVEL] = ("CS", match.level.encode())
    elements[_RETRIEVE_AE_TITLE] = ("AE", ae_title.encode("ascii", "replace"))
    for keyword in query.returned:
        vr = ATTRIBUTES[keyword].vr
        elements[_tag_of(keyword)] = (vr, _encode_value(vr, match.values[keyword], transfer_syntax_uid))
    if not all(value.isascii() for value in match.values.values()):
        elements[_SPECIFIC_CHARACTER_SET] = ("CS", b"ISO_IR 192")
    return b"".join(_encode_element(tag, *elements[tag], transfer_syntax_uid) for tag in sorted(elements))


def read_retrieve_keys(dataset: bytes, transfer_syntax_uid: str, sop_class_uid: str) -> RetrieveKeys:
    """Return what a C-MOVE or C-GET request asks for.

    The unique key of the level must be there. Those of its parents may be missing, as in queries; where they are
    given, they narrow what is retrieved. Other keys are ignored. There are no wildcards in a retrieval.

    Parameters
    ----------
    dataset
        The request's identifier as it came.
    transfer_syntax_uid
        How it is encoded.
    sop_class_uid
        Which information model it uses.

    Raises
    ------
    QueryError
        If the identifier cannot be read, its level is missing or none of the model's, the level's unique key is
        missing or empty, or a UID is none.

    Source
    ------
    PS3.4 C.4.2.2.1 and C.4.3.2.1.
    """
    request = _Request(dataset, transfer_syntax_uid)
    level, root = request.level(sop_class_uid)
    levels = LEVELS[root]
    keywords = [UNIQUE_KEYS[each] for each in levels[: levels.index(level) + 1]]
    uids = {keyword: values for keyword in keywords if (values := _unique_values(request, keyword))}
    if UNIQUE_KEYS[level] not in uids:
        raise _refusal(f"{UNIQUE_KEYS[level]} is missing or empty", _tag_of(UNIQUE_KEYS[level]))
    return RetrieveKeys(level=level, uids=uids)


class _Request:
    """The elements of a request's identifier."""

    def __init__(self, dataset: bytes, transfer_syntax_uid: str) -> None:
        if len(dataset) > MAX_BYTES:
            raise QueryError(f"the identifier is larger than {MAX_BYTES} bytes")
        try:
            elements = read_elements(dataset, transfer_syntax_uid, None, most_bytes=MAX_BYTES)
        except MalformedDatasetError as error:
            raise QueryError(f"the identifier is malformed: {error}") from error
        self._values = elements.values
        self._order = "<" if elements.little_endian else ">"
        self._encodings = encodings_of(self._raw(_SPECIFIC_CHARACTER_SET).decode("latin-1"))

    def keys(self) -> list[int]:
        """Return the tags of the keys in order."""
        return sorted(
            tag for tag in self._values if tag not in _NO_KEYS and not tag >> 16 & 1 and tag & 0xFFFF
        )

    def text(self, tag: int) -> str:
        """Return a value as text; empty if it is not there."""
        element = self._values.get(tag)
        if element is None:
            return ""
        if _is_number(tag, element):
            return str(unpack(f"{self._order}H", element.value[:2])[0]) if len(element.value) > 1 else ""
        return decode_text(element.value, self._encodings).strip(" \0")

    def level(self, sop_class_uid: str) -> tuple[Level, Root]:
        """Return the level and the model it belongs to."""
        root = _ROOTS.get(sop_class_uid.rpartition(".")[0])
        if root is None:
            raise QueryError("the SOP class is no information model of query and retrieve")
        text = self.text(_QUERY_RETRIEVE_LEVEL)
        level = next((each for each in LEVELS[root] if each.value == text), None)
        if level is None:
            raise _refusal(f"the level is missing or none of the {root} root model", _QUERY_RETRIEVE_LEVEL)
        return level, root

    def _raw(self, tag: int) -> bytes:
        element = self._values.get(tag)
        return b"" if element is None else element.value


def _is_number(tag: int, element: RawValue) -> bool:
    """Whether the value is a binary number, as Rows and Columns are."""
    return dictionary_has_tag(tag) and _vr_of(tag) == "US" and element.vr in {None, b"US", b"UN"}


def _unique_values(request: _Request, keyword: str) -> tuple[str, ...]:
    tag = _tag_of(keyword)
    parts = (part.strip(" \0") for part in request.text(tag).split("\\"))
    values = tuple(dict.fromkeys(part for part in parts if part))
    if len(values) > MAX_UIDS:
        raise _refusal(f"{keyword} has more than {MAX_UIDS} values", tag)
    # A Patient ID with an asterisk is compared as it stands: some are called so, and it never selects more than them.
    if keyword != UNIQUE_KEYS[Level.PATIENT]:
        for value in values:
            _check_uid(value, keyword, tag)
    return values


def _check_uid(value: str, keyword: str, tag: int) -> None:
    try:
        check_uid(value, keyword)
    except IdentityError as error:
        raise _refusal(str(error), tag) from error


def _refusal(reason: str, tag: int) -> QueryError:
    return QueryError(reason, tag=f"({tag >> 16:04X},{tag & 0xFFFF:04X})")


def _tag_of(keyword: str) -> int:
    return tag_for_keyword(keyword) or 0


def _vr_of(tag: int) -> str:
    """Return the dictionary's VR, the first where it leaves a choice."""
    return dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "UN"


def _encode_value(vr: str, value: str, transfer_syntax_uid: str) -> bytes:
    if vr != "US":
        return value.encode()
    order = ">" if transfer_syntax_uid == ExplicitVRBigEndian else "<"
    return pack(f"{order}H", int(value)) if value else b""


def _encode_element(tag: int, vr: str, value: bytes, transfer_syntax_uid: str) -> bytes:
    """Return one element, padded to even length (PS3.5 section 7.1)."""
    if len(value) > _MOST_SHORT_BYTES:
        # A list without room: what fits of it.
        value = value[: value.rfind(b"\\", 0, _MOST_SHORT_BYTES)]
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    group, number = tag >> 16, tag & 0xFFFF
    if transfer_syntax_uid == ImplicitVRLittleEndian:
        return pack("<HHL", group, number, len(value)) + value
    order = ">" if transfer_syntax_uid == ExplicitVRBigEndian else "<"
    if vr in _LONG_VRS:
        return pack(f"{order}HH2sHL", group, number, vr.encode(), 0, len(value)) + value
    return pack(f"{order}HH2sH", group, number, vr.encode(), len(value)) + value
