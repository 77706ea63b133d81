"""On which line of a TOML text each of its keys stands: ``tomllib`` keeps values only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[str | int, ...]
"""The way to a value: keys, and positions in arrays of tables."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)')[ \t]*""")
_VALUE = re.compile(
    r'"{3}(?:[^\\]|\\.)*?"{3,5}'
    r"|'{3}.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<end>\n)"
    r"|[^\"'#\[\]{}\n]+",
    re.DOTALL,
)


def key_lines(text: str) -> dict[Place, int]:
    """Return the line, counted from 1, of each table header and key of a TOML text that parses.

    Keys within an inline table or array are not listed: they stand where their parent key does.
    """
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    for line, brackets, keys in _statements(text):
        if brackets == 0:
            place = table + keys
        else:
            place = table = _table(keys, counts, repeated=brackets == 2)
        for length in range(1, len(place) + 1):
            lines.setdefault(place[:length], line)
    return lines


def line_of(place: Place, lines: dict[Place, int]) -> int | None:
    """Return the line of a place, or of the nearest place above it that has one."""
    for length in range(len(place), 0, -1):
        if (line := lines.get(place[:length])) is not None:
            return line
    return None


def _statements(text: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield line, number of brackets (0: a key with a value, 1: a table, 2: one more of an array) and keys."""
    position = _end(_BLANK, text, 0)
    while position < len(text):
        start = position
        brackets = 2 if text.startswith("[[", start) else int(text[start] == "[")
        keys, position = _keys(text, start + brackets)
        yield text.count("\n", 0, start) + 1, brackets, keys
        if brackets == 0:
            position = _skip_value(text, position + 1)
        position = max(_end(_BLANK, text, position + brackets), start + 1)


def _keys(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """Return a dotted key's parts and where it ends."""
    keys: list[str] = []
    while found := _KEY.match(text, position):
        keys.append(next(part for part in found.groups() if part is not None))
        position = found.end()
        if not text.startswith(".", position):
            break
        position += 1
    return tuple(keys), position


def _skip_value(text: str, position: int) -> int:
    """Return where the value that begins here, and its line, end."""
    depth = 0
    while found := _VALUE.match(text, position):
        position = found.end()
        depth += bool(found["open"]) - bool(found["close"])
        if found["end"] and depth <= 0:
            break
    return position


def _table(keys: tuple[str, ...], counts: dict[Place, int], *, repeated: bool) -> Place:
    """Return the place that a table header opens, counting the tables of its arrays."""
    place: Place = ()
    for position, key in enumerate(keys, start=1):
        place += (key,)
        if repeated and position == len(keys):
            counts[place] = counts.get(place, 0) + 1
        if place in counts:
            place += (counts[place] - 1,)
    return place


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position
