"""Dates, times and ranges of them as spans of text: the first that belongs to it, and the first behind it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from db.errors import QueryError
from db.patterns import successor

if TYPE_CHECKING:
    from collections.abc import Callable

Span: TypeAlias = "tuple[str, str]"

_DAY = re.compile(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})")
_MOMENT = re.compile(r"([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(\.[0-9]{1,6})?)?)?")


def read_span(text: str, read: Callable[[str], Span]) -> Span:
    """Return the span of a value or of a range of values, each of which `read` reads; an open side is empty.

    Raises
    ------
    QueryError
        If it is neither.

    Source
    ------
    PS3.4 C.2.2.2.5.
    """
    start, dash, end = (part.strip(" ") for part in text.partition("-"))
    if not dash:
        return read(start)
    if not start and not end:
        raise QueryError("a range needs a beginning or an end")
    return read(start)[0] if start else "", read(end)[1] if end else ""


def day_span(text: str) -> Span:
    """Return the span of a date; days that a month does not have are let through as the ends of ranges.

    Raises
    ------
    QueryError
        If it is not one.
    """
    found = _DAY.fullmatch(text)
    if not found or not 1 <= int(found[3]) <= 12 or not 1 <= int(found[4]) <= 31:
        raise QueryError("a date or a range of dates was expected")
    day = found[1] + found[3] + found[4]
    return day, _behind(day)


def moment_span(text: str) -> Span:
    """Return the span of a time of any precision: ``10`` is an hour, ``1030`` a minute.

    A stored time, itself of any precision, belongs to the span in which its beginning lies. So the first is
    written as short as it can be: ``10`` and ``100000`` are not before ``1000``.

    Raises
    ------
    QueryError
        If it is not one.
    """
    found = _MOMENT.fullmatch(text)
    if not found or int(found[1]) > 23 or int(found[2] or 0) > 59 or int(found[3] or 0) > 60:
        raise QueryError("a time or a range of times was expected")
    whole = found[1] + (found[2] or "") + (found[3] or "")
    fraction = (found[4] or "").rstrip("0").rstrip(".")
    first = whole + fraction
    while not fraction and first.endswith("00"):
        first = first[:-2]
    return first, _behind(whole + (found[4] or ""))


def _behind(text: str) -> str:
    return successor(text) or ""
