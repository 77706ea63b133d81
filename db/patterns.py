r"""Wildcard patterns: one meaning, in Python and in SQL.

``*`` stands for any characters or none, ``?`` for one. Everything else, ``%``, ``_``, ``[`` and ``\`` included,
stands for itself (PS3.4 C.2.2.2.4).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import Boolean, and_

from db.folding import fold

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from sqlalchemy import ColumnElement


class Joker(Enum):
    """A wildcard within a pattern."""

    MANY = "*"
    ONE = "?"


Pattern: TypeAlias = "tuple[str | Joker, ...]"

_WILDCARDS = re.compile(r"([*?])")


def read_pattern(text: str, *, folded: bool = False) -> Pattern:
    """Return the pattern that `text` writes; its plain pieces are folded one by one if asked for."""
    pieces: list[str | Joker] = []
    for piece in _WILDCARDS.split(text):
        if piece in ("*", "?"):
            joker = Joker(piece)
            # Two stars are one.
            if joker is Joker.ONE or not pieces or pieces[-1] is not Joker.MANY:
                pieces.append(joker)
        elif piece:
            pieces.append(fold(piece) if folded else piece)
    return tuple(pieces)


def is_plain(pattern: Pattern) -> bool:
    """Whether the pattern has no wildcards."""
    return all(isinstance(piece, str) for piece in pattern)


def pattern_matches(pattern: Pattern, value: str) -> bool:
    """Whether the whole of `value` is what the pattern describes."""
    return _expression(pattern).fullmatch(value) is not None


def pattern_clause(pattern: Pattern, column: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the pattern as SQL; a plain beginning becomes a range that an index on the column serves."""
    prefix = pattern[0] if pattern and isinstance(pattern[0], str) else ""
    if pattern == (prefix,) or not pattern:
        return column == prefix
    glob = column.op("GLOB", return_type=Boolean())(_glob(pattern))
    if not prefix:
        return glob
    span = prefix_clause(prefix, column)
    return span if pattern[1:] == (Joker.MANY,) else and_(span, glob)


def prefix_clause(prefix: str, column: ColumnElement[str]) -> ColumnElement[bool]:
    """Return that the column begins with `prefix`, as a range."""
    after = successor(prefix)
    at_least = column >= prefix
    return at_least if after is None else and_(at_least, column < after)


def successor(prefix: str) -> str | None:
    """Return the first text after all that begin with `prefix`, by code points; None where there is none."""
    for end in range(len(prefix), 0, -1):
        point = ord(prefix[end - 1]) + 1
        if point <= 0x10FFFF:
            # Surrogates are no characters.
            return prefix[: end - 1] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)
    return None


def _glob(pattern: Pattern) -> str:
    """Return the pattern in SQLite's notation, in which brackets make wildcards plain."""
    return "".join(
        piece.value if isinstance(piece, Joker) else re.sub(r"([*?\[])", r"[\1]", piece) for piece in pattern
    )


@lru_cache(maxsize=256)
def _expression(pattern: Pattern) -> re.Pattern[str]:
    """Return the pattern as an expression that never backtracks over more than one star.

    Each piece between stars is taken where it is found first: if the rest does not fit behind that place, it
    fits behind no later one. Without this, a dozen stars would keep a thread busy for hours.
    """
    segments = [""]
    for piece in pattern:
        if piece is Joker.MANY:
            segments.append("")
        else:
            segments[-1] += "." if isinstance(piece, Joker) else re.escape(piece)
    if len(segments) == 1:
        return re.compile(segments[0], re.DOTALL)
    first, *middle, last = segments
    found_first = "".join(f"(?>.*?{segment})" for segment in middle)
    return re.compile(f"{first}{found_first}.*{last}", re.DOTALL)


def frame(pattern: Pattern, mark: str) -> Pattern:
    """Return the pattern for any one of the values that `mark` separates, within a text framed by marks."""
    return _joined((Joker.MANY, mark, *pattern, mark, Joker.MANY))


def either_side(pattern: Pattern, mark: str) -> tuple[Pattern, Pattern]:
    """Return the patterns for the last and for an inner one of several values that `mark` separates."""
    return _joined((Joker.MANY, mark, *pattern)), _joined((Joker.MANY, mark, *pattern, mark, Joker.MANY))


def first_of(pattern: Pattern, mark: str) -> Pattern:
    """Return the pattern for the first of several values that `mark` separates."""
    return _joined((*pattern, mark, Joker.MANY))


def _joined(pieces: Pattern) -> Pattern:
    """Return the same pattern with neighbouring plain pieces made one."""
    joined: list[str | Any] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)
