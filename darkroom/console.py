"""What the commands print: tables for people, JSON for machines, errors with a hint."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from config.settings import Fault

_USUAL_COLUMNS = 100
_FILE_COLUMNS = 240
"""The width of lines that no terminal bounds."""

_COLOURS = {
    "complete": "green",
    "done": "green",
    "equal": "green",
    "receiving": "cyan",
    "running": "cyan",
    "incomplete": "yellow",
    "forced": "yellow",
    "failed": "red",
    "missing": "red",
    "changed": "red",
    "different": "red",
}


def printable(value: object) -> str:
    """Return a value as text that cannot steer a terminal: values of data sets come from anywhere."""
    text = "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str, whole: Collection[str] = ()
) -> None:
    """Print rows below their column titles, or a sentence where there are none.

    Parameters
    ----------
    columns
        Their titles.
    rows
        A value for each column; line breaks in it are kept.
    empty
        The sentence.
    whole
        Titles of the columns that are not broken on a terminal of usual width: what is copied from them.
    """
    console = _console()
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole and console.width >= _USUAL_COLUMNS)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    if table.row_count:
        console.print(table)
    else:
        print_line(empty)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print names and values of one thing, a line each."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, _cell(value))
    _console().print(table)


def print_line(text: str) -> None:
    """Print one line of text."""
    _console().print(Text(printable(text)), soft_wrap=True)


def print_error(message: str, *, hint: str = "") -> None:
    """Print what went wrong, and what can be done about it, to standard error."""
    console = _console(stderr=True)
    console.print(Text.assemble(("error: ", "bold red"), printable(message)), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("hint: ", "bold"), printable(hint)), soft_wrap=True)


def print_fault_table(faults: Iterable[Fault]) -> None:
    """Print what is wrong with a settings file to standard error, a line each."""
    console = _console(stderr=True)
    for fault in faults:
        place = ", ".join(filter(None, (f"line {fault.line}" if fault.line else "", fault.key)))
        where = f"{printable(place)}: " if place else ""
        console.print(Text.assemble("  ", (where, "bold"), printable(fault.message)), soft_wrap=True)


def print_json(value: object) -> None:
    """Print a value as JSON: records as objects, enumerations as their values."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """Return a value made of what JSON has."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def moment(seconds: float | None) -> str:
    """Return seconds since the epoch as local date and time, empty for None."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@contextmanager
def progress(what: str, *, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Show a bar on standard error while the block runs; it gets the function that moves it on by one.

    Where standard error is no terminal nothing is shown.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=_console(stderr=True), disable=not sys.stderr.isatty(), transient=True
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def follow(what: str, totals: Iterable[int]) -> None:
    """Run through work that yields, after each step, how many steps there are in all; show a bar meanwhile."""
    with Progress(console=_console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        for total in totals:
            bar.update(task, total=total, advance=1)


class _Console(Console):
    """A console that lets whoever called it know when nobody reads any more; rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _cell(value: object) -> Text:
    text = "\n".join(printable(line) for line in str("" if value is None else value).split("\n"))
    return Text(text, style=_COLOURS.get(text, ""))


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return _Console(file=stream, highlight=False, width=None if stream.isatty() else _FILE_COLUMNS)
