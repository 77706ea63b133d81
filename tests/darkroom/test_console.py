"""The console: what people and machines get to read, whatever the values are."""

from __future__ import annotations

import dataclasses
import json

import pytest

from config.settings import Fault
from darkroom import console
from db.records import FindingRecord, JobState


class Terminal:
    """A standard stream that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        return True


def test_json_has_records_as_objects_and_states_as_texts(capsys):
    """Dataclasses, enumerations and tuples become what JSON has; text stays readable."""
    record = FindingRecord(code="gap", message="Ä", sop_instance_uids=("1.2",), details={"at": (1, 2)})
    console.print_json({"state": JobState.DONE, "findings": [record]})
    printed = capsys.readouterr().out
    assert "Ä" in printed
    assert json.loads(printed) == {
        "state": "done",
        "findings": [{**dataclasses.asdict(record), "sop_instance_uids": ["1.2"], "details": {"at": [1, 2]}}],
    }


def test_a_file_gets_whole_lines(capsys):
    """Where no terminal bounds the lines, a UID of 64 digits is not broken."""
    uid = "1." + "2" * 62
    console.print_table(("a", "b"), [(uid, uid)], empty="")
    assert capsys.readouterr().out.count(uid) == 2


def test_markup_in_values_is_plain_text(capsys):
    """Brackets in a value are brackets: they neither colour nor vanish."""
    console.print_table(("a",), [("[red]x[/red]",)], empty="")
    console.print_line("[bold]y[/bold]")
    console.print_error("[z]", hint="[h]")
    printed = capsys.readouterr()
    assert "[red]x[/red]" in printed.out
    assert "[bold]y[/bold]" in printed.out
    assert printed.err == "error: [z]\nhint: [h]\n"


def test_control_characters_do_not_reach_the_terminal(monkeypatch):
    """Escape sequences in values are shown as replaced characters, on a terminal too."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    console.print_line("a\x1b[2Jb\x07c")
    console.print_table(("t",), [("d\x1b]0;title\x07",)], empty="")
    assert "\x1b[2J" not in terminal.text
    assert "\x1b]0" not in terminal.text
    assert "\x07" not in terminal.text


def test_faults_are_listed_with_line_and_key(capsys):
    """Each fault is one line that says where; what has no line or key says what it can."""
    console.print_fault_table(
        [Fault(key="node.port", line=3, message="Wrong."), Fault(key="", line=None, message="Unreadable.")]
    )
    assert capsys.readouterr().err == "  line 3, node.port: Wrong.\n  Unreadable.\n"


def test_a_bar_is_drawn_on_a_terminal_only(monkeypatch, capsys):
    """Progress goes to standard error, and to nobody where that is a file."""
    with console.progress("Importing", total=2) as advance:
        advance()
    console.follow("Verifying", iter([1]))
    assert capsys.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    console.follow("Verifying", iter([2, 2]))
    assert "Verifying" in terminal.text


@pytest.mark.parametrize(("seconds", "length"), [(None, 0), (0.0, 19), (1.7e9, 19)])
def test_a_moment_is_date_and_time(seconds, length):
    """A moment is shown to the second, in local time; none is empty."""
    assert len(console.moment(seconds)) == length
