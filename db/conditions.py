r"""The matching rules of C-FIND as values; each decides in Python and in SQL, and both agree.

They serve queries and the routes of the settings alike: one language, one implementation.

Where the standard leaves the choice or the field asks for more:

- Person names match without regard to case and accents. A query without ``=`` is compared with the alphabetic
  group; if it has characters beyond ASCII, with the other groups as well.
- Several values in a query (``CT\MR``) match if one does, not only for UIDs.
- A time of limited precision stands for all of its span: ``10`` is the whole hour, and ``10-12`` ends at 12:59:59.
- Integers compare as numbers: ``007`` is ``7``.
- Dates may have wildcards, as some senders write them.
- Stored values that are empty match nothing but the universal condition.

Source
------
PS3.4 section C.2.2.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydicom.datadict import tag_for_keyword
from sqlalchemy import and_, false, or_, true

from db.errors import QueryError
from db.folding import fold
from db.patterns import (
    Pattern,
    either_side,
    first_of,
    frame,
    is_plain,
    pattern_clause,
    pattern_matches,
    read_pattern,
)
from db.person_name import trim_name
from db.spans import day_span, moment_span, read_span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import ColumnElement

MAX_TEXT = 1024
"""How many characters the value of a key may have, unless it is a list of UIDs."""
MAX_VALUES = 100
"""How many values a list may have that is not one of UIDs; SQLite nests alternatives 1,000 deep."""
MAX_UIDS = 10_000
"""How many UIDs a list may have; SQLite takes some 32,000 values a statement."""

_SEPARATOR = "\\"
_INTEGER = re.compile(r" *[+-]?[0-9]{1,12} *")


class Condition(Protocol):
    """One rule for the value of one attribute."""

    @property
    def is_narrow(self) -> bool:
        """Whether an index on the column leads straight to what matches."""

    def matches(self, value: str) -> bool:
        """Whether a value as the index keeps it satisfies the rule."""

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the rule as SQL on the attribute's column (for person names: the folded one)."""


@dataclass(frozen=True, slots=True)
class Universal:
    """Everything matches, also what is empty (C.2.2.2.3)."""

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads straight to what matches."""
        return False

    def matches(self, value: str) -> bool:  # noqa: ARG002 (whatever it is)
        """Return True."""
        return True

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:  # noqa: ARG002 (whatever it is)
        """Return what is always true."""
        return true()


@dataclass(frozen=True, slots=True)
class SingleValue:
    """The value is this one (C.2.2.2.1)."""

    value: str

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads straight to what matches."""
        return True

    def matches(self, value: str) -> bool:
        """Whether it is the same text."""
        return value == self.value

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the equality."""
        return column == self.value


@dataclass(frozen=True, slots=True)
class UidList:
    """The value is one of these UIDs (C.2.2.2.2)."""

    uids: tuple[str, ...]

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads straight to what matches."""
        return True

    def matches(self, value: str) -> bool:
        """Whether it is in the list."""
        return value in self.uids

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the membership."""
        return column == self.uids[0] if len(self.uids) == 1 else column.in_(self.uids)


@dataclass(frozen=True, slots=True)
class Wildcard:
    """The value has this form (C.2.2.2.4)."""

    pattern: Pattern

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads straight to what matches."""
        return isinstance(self.pattern[0], str)

    def matches(self, value: str) -> bool:
        """Whether the whole value has the form."""
        return value != "" and pattern_matches(self.pattern, value)

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the form as a range, a GLOB or both."""
        return and_(column != "", pattern_clause(self.pattern, column))


@dataclass(frozen=True, slots=True)
class Code:
    """One of the values that the attribute has is of this form (VR CS)."""

    pattern: Pattern

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads straight to what matches."""
        return False

    def matches(self, value: str) -> bool:
        """Whether one of the values, which backslashes separate, has the form."""
        return value != "" and pattern_matches(self._framed(), f"\\{value}\\")

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the same on the framed column."""
        framed: ColumnElement[str] = _SEPARATOR + column + _SEPARATOR
        return and_(column != "", pattern_clause(self._framed(), framed))

    def _framed(self) -> Pattern:
        return frame(self.pattern, _SEPARATOR)


@dataclass(frozen=True, slots=True)
class Name:
    """The person name has one of these folded forms."""

    patterns: tuple[Pattern, ...]

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads straight to what matches."""
        return all(isinstance(pattern[0], str) for pattern in self.patterns)

    def matches(self, value: str) -> bool:
        """Whether the name, folded, has one of the forms."""
        folded = fold(trim_name(value))
        return folded != "" and any(pattern_matches(pattern, folded) for pattern in self.patterns)

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the same on the folded column."""
        return and_(column != "", or_(*(pattern_clause(pattern, column) for pattern in self.patterns)))


@dataclass(frozen=True, slots=True)
class Number:
    """The value is this number."""

    number: int

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads straight to what matches."""
        return True

    def matches(self, value: str) -> bool:
        """Whether the text writes the same number."""
        return _INTEGER.fullmatch(value) is not None and int(value) == self.number

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the equality."""
        return column == self.number


@dataclass(frozen=True, slots=True)
class Range:
    """The value lies between two texts that sort as what they mean: dates or times (C.2.2.2.5).

    Attributes
    ----------
    first
        The first that matches; empty for an open beginning.
    after
        The first that does not match any more; empty for an open end.
    """

    first: str
    after: str

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads straight to what matches."""
        return True

    def matches(self, value: str) -> bool:
        """Whether it is not empty and lies in the range."""
        return value != "" and value >= self.first and (not self.after or value < self.after)

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the same in SQL."""
        start = column >= self.first if self.first else column > ""
        return and_(start, column < self.after) if self.after else start


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these conditions is satisfied."""

    conditions: tuple[Condition, ...]

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads straight to what matches."""
        return all(condition.is_narrow for condition in self.conditions)

    def matches(self, value: str) -> bool:
        """Whether one of them is."""
        return any(condition.matches(value) for condition in self.conditions)

    def clause(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the alternatives."""
        return or_(false(), *(condition.clause(column) for condition in self.conditions))


def parse_condition(keyword: str, vr: str, text: str) -> Condition:
    """Return the condition that the value of a key writes.

    Parameters
    ----------
    keyword
        DICOM keyword of the attribute; for the error only.
    vr
        Value representation: it decides which rules there are.
    text
        As decoded; padding does not matter.

    Raises
    ------
    QueryError
        If it cannot be read: a range that is none, a number that is none, a UID with wildcards, too long.
    """
    text = text.replace("\0", "").strip(" ")
    if not text.strip("*"):
        return Universal()
    try:
        return _parse(vr, text)
    except QueryError as error:
        raise QueryError(f"{keyword}: {error}", tag=_tag_text(keyword)) from error


def matches(conditions: Mapping[str, Condition], attributes: Mapping[str, str]) -> bool:
    """Whether the attributes of one entity satisfy all conditions; a missing attribute is an empty one."""
    return all(condition.matches(attributes.get(keyword, "")) for keyword, condition in conditions.items())


def _parse(vr: str, text: str) -> Condition:
    if vr == "UI":
        return _uids(text)
    if len(text) > MAX_TEXT:
        raise QueryError(f"the value has more than {MAX_TEXT} characters")
    parse = _PARSERS.get(vr, _text)
    values = [value.strip(" ") for value in text.split(_SEPARATOR)]
    if len(values) > MAX_VALUES:
        raise QueryError(f"there are more than {MAX_VALUES} values")
    if any(value and not value.strip("*") for value in values):
        return Universal()
    conditions = tuple(parse(value) for value in values if value)
    return conditions[0] if len(conditions) == 1 else AnyOf(conditions)


def _tag_text(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    return "" if tag is None else f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _uids(text: str) -> UidList:
    if "*" in text or "?" in text:
        raise QueryError("UIDs have no wildcards")
    uids = tuple(dict.fromkeys(uid for part in text.split(_SEPARATOR) if (uid := part.strip(" "))))
    if len(uids) > MAX_UIDS:
        raise QueryError(f"there are more than {MAX_UIDS} UIDs")
    return UidList(uids)


def _text(value: str) -> Condition:
    pattern = read_pattern(value)
    return SingleValue(value) if is_plain(pattern) else Wildcard(pattern)


def _code(value: str) -> Condition:
    return Code(read_pattern(value))


def _name(value: str) -> Condition:
    pattern = read_pattern(trim_name(value), folded=True)
    if not pattern:
        return Universal()  # "^^" asks for as much as nothing does
    patterns = [pattern]
    if "=" not in value:
        patterns.append(first_of(pattern, "="))
        if not all(piece.isascii() for piece in pattern if isinstance(piece, str)):
            patterns += either_side(pattern, "=")
    return Name(tuple(patterns))


def _number(value: str) -> Condition:
    if not _INTEGER.fullmatch(value):
        raise QueryError("an integer was expected")
    return Number(int(value))


def _date(value: str) -> Condition:
    return _text(value) if "*" in value or "?" in value else Range(*read_span(value, day_span))


def _time(value: str) -> Condition:
    return _text(value) if "*" in value or "?" in value else Range(*read_span(value, moment_span))


_PARSERS: dict[str, Callable[[str], Condition]] = {
    "CS": _code,
    "DA": _date,
    "IS": _number,
    "PN": _name,
    "SL": _number,
    "SS": _number,
    "TM": _time,
    "UL": _number,
    "US": _number,
}
