"""Logs: what is said, in which form, and that no patient's data gets through."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
import threading
import warnings
from pathlib import Path

import pytest
import structlog

import darkroom
from config.settings import Log
from darkroom.logs import FIELDS, set_up_logs
from db.errors import StoreError
from db.records import SeriesState

ROOT = Path(darkroom.__file__).parents[1]
CANARY = "KANARIENVOGEL^TWEETY"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def stream(restored_logs):
    """Where the logs go, as JSON lines."""
    stream = io.StringIO()
    set_up_logs(Log(level="debug", format="json"), stream)
    return stream


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_its_fields(stream):
    """Level, time, event and known fields are there; values of enumerations are written as they are stored."""
    structlog.contextvars.bind_contextvars(association=7)
    structlog.get_logger("x").info("series closed", series_instance_uid="1.2.3", state=SeriesState.COMPLETE)
    (line,) = _lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "series closed",
        "level": "info",
        "association": 7,
        "series_instance_uid": "1.2.3",
        "state": "complete",
    }


def test_a_field_that_is_not_on_the_list_is_dropped_and_counted(stream):
    """A patient's name does not get through as a field, as a context variable or as another object."""
    structlog.contextvars.bind_contextvars(patient_id=CANARY)
    structlog.get_logger().info("x", patient_name=CANARY, status=Path(CANARY), instances=3)
    assert CANARY not in stream.getvalue()
    (line,) = _lines(stream)
    assert line["fields_dropped"] == 2
    assert line["instances"] == 3
    assert not {"patient_id", "patient_name"} & FIELDS


@pytest.mark.parametrize(
    "name", ["pynetdicom.acse", "pydicom", "dbos", "alembic.x", "sqlalchemy.engine", "any"]
)
def test_other_libraries_say_where_and_not_what(stream, name):
    """Neither text nor arguments nor exception text of a foreign record is written, even if it cannot be formatted."""
    foreign = logging.getLogger(name)
    foreign.warning(f"Patient {CANARY}")
    foreign.warning("Patient %s", CANARY)
    foreign.warning("Patient %s %s", CANARY, extra={"patient": CANARY})
    try:
        int(CANARY)
    except ValueError:
        foreign.exception("Failed for %s", CANARY)
    foreign.info("too quiet to be written")
    lines = _lines(stream)
    assert len(lines) == 4
    assert CANARY not in stream.getvalue()
    assert {line["library"] for line in lines} == {name}
    assert all("darkroom/test_logs.py:" in str(line["place"]) for line in lines)
    assert lines[3]["error_type"] == "ValueError"


def test_an_exception_is_types_and_places(stream):
    """The text of a foreign exception, its source lines and locals are left out; the way to it is kept."""
    try:
        try:
            {}[CANARY]
        except KeyError as error:
            raise ValueError(CANARY) from error
    except ValueError:
        structlog.get_logger().exception("job failed")
    (line,) = _lines(stream)
    assert CANARY not in stream.getvalue()
    assert (line["error_type"], line["error_cause"]) == ("ValueError", "KeyError")
    assert line["error_at"][-1].startswith("darkroom/test_logs.py:")
    assert "error" not in line


def test_our_own_errors_say_what_they_say(stream):
    """Their texts carry UIDs and numbers only, so text and hint are written."""
    structlog.get_logger().error("store failed", exc_info=StoreError("no space", hint="free some"))
    (line,) = _lines(stream)
    assert (line["error"], line["hint"], line["error_type"]) == ("no space", "free some", "StoreError")


def test_warnings_are_reduced_to_their_category(stream):
    """pydicom's warnings quote values; only their category and place are written."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"Invalid value {CANARY}", UserWarning, stacklevel=1)
    (line,) = _lines(stream)
    assert CANARY not in stream.getvalue()
    assert line["category"] == "UserWarning"


def test_what_nobody_caught_is_logged_without_its_text(stream, capfd):
    """Neither the main thread, nor another, nor a finaliser prints a traceback with values."""
    error = ValueError(CANARY)
    sys.excepthook(ValueError, error, None)
    thread = threading.Thread(target=lambda: int(CANARY), name="intake")
    thread.start()
    thread.join()
    sys.unraisablehook(type("Arguments", (), {"exc_value": error})())
    lines = _lines(stream)
    assert [line["error_type"] for line in lines] == ["ValueError"] * 3
    assert lines[1]["thread"] == "intake"
    assert CANARY not in stream.getvalue() + "".join(capfd.readouterr())


def test_a_value_cannot_forge_a_line(restored_logs):
    """Line breaks and escape sequences from the wire are replaced, in what people read too."""
    stream = Terminal()
    set_up_logs(Log(format="console"), stream)
    structlog.get_logger().info("association rejected", calling_ae_title="A\n2026 [error] forged \x1b[2J")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b[2J" not in stream.getvalue()
    for_machines = io.StringIO()
    set_up_logs(Log(format="json"), for_machines)
    structlog.get_logger().info("association rejected", reason="A\nB\x1b" + "C" * 5000)
    (line,) = _lines(for_machines)
    assert line["reason"].startswith("A\N{REPLACEMENT CHARACTER}B\N{REPLACEMENT CHARACTER}C")
    assert len(line["reason"]) == 1000


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("console", io.StringIO(), False),
    ],
)
def test_the_form_suits_the_reader(restored_logs, form, stream, is_json):
    """Machines get JSON, a terminal gets lines for people, unless the settings say otherwise."""
    set_up_logs(Log(format=form), stream)
    structlog.get_logger().info("node ready", port=11112)
    assert stream.getvalue().startswith("{") is is_json
    assert "11112" in stream.getvalue()


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_the_least_that_is_written(restored_logs, level, count):
    """What is below the level costs nothing and says nothing."""
    stream = io.StringIO()
    set_up_logs(Log(level=level, format="json"), stream)
    log = structlog.get_logger()
    for say in (log.debug, log.info, log.warning, log.error):
        say("x")
    assert len(_lines(stream)) == count


def _log_calls() -> list[tuple[str, ast.Call]]:
    """Return every call of a logger's method in our packages, with its place."""
    methods = {"debug", "info", "warning", "error", "critical", "exception", "bind"}
    found = []
    for package in ("config", "darkroom", "db", "processing", "scp"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                if node.func.attr in methods and ast.unparse(node.func.value).split(".")[-1] in (
                    "_log",
                    "log",
                ):
                    found.append((f"{path.relative_to(ROOT)}:{node.lineno}", node))
    return found


def test_every_event_of_ours_is_a_constant_phrase_with_known_fields():
    """No log call in our packages builds its event from values, or passes a field that would be dropped."""
    calls = _log_calls()
    wrong = [
        (place, ast.unparse(call))
        for place, call in calls
        if any(isinstance(part, ast.JoinedStr | ast.BinOp) for part in call.args)
        or any(keyword.arg is None or keyword.arg not in FIELDS | {"exc_info"} for keyword in call.keywords)
    ]
    assert wrong == []
    assert calls, "the search found no log calls at all"


def test_the_rule_for_events_can_fail():
    """The search above would see an f-string."""
    call = ast.parse("_log.info(f'{x}')").body[0].value
    assert isinstance(call.args[0], ast.JoinedStr)
