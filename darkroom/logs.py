"""Logs without patients: one line an event, on standard error, as JSON or for people to read.

An event is a constant phrase with fields. Only the fields of `FIELDS` are written; whatever else is passed is
counted and dropped. Of other libraries' records and warnings the place in the code is written and never the text,
since it may hold values of a data set; of an exception the types and places, and the text of our own errors only.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
import warnings
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor

    from config.settings import Log

FIELDS = frozenset(
    (  # noqa: SIM905 - in lines, as they belong together
        "event level timestamp "
        "study_instance_uid series_instance_uid sop_instance_uid sop_class_uid transfer_syntax_uid "
        "association peer ae_title calling_ae_title called_ae_title address host port right service "
        "job_id route processor tries pause_s remaining exit_code signal pid "
        "state revision instances stored same conflicts refused completed failed warning matches "
        "status outcome reason error error_type error_at error_cause hint offset key line "
        "bytes free_bytes free_fraction duration_s count version "
        "library place category thread"
    ).split()
)
"""Everything that a log line may say. None of it comes from a patient's data, nor is it a path of the outside."""

_FIRST = ("event", "level")
_OURS = frozenset({"config", "darkroom", "db", "processing", "scp"})
_FOREIGN = ("alembic", "dbos", "pydicom", "pynetdicom", "sqlalchemy")
"""Libraries that bring handlers of their own, or set their own levels."""
_LONGEST = 1000


def set_up_logs(log: Log, stream: TextIO | None = None) -> None:
    """Send everything that this process logs, warns of or dies of to one stream, without patients' data.

    Parameters
    ----------
    log
        The section of the settings.
    stream
        Standard error where none is given.
    """
    stream = sys.stderr if stream is None else stream
    render = _renderer(log, stream)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *_SHARED,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(log.level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    _take_over_foreign_loggers(stream, render)
    _take_over_last_words()


def _take_over_foreign_loggers(stream: TextIO, render: Processor) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_foreign_record, structlog.processors.add_log_level, *_SHARED],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            use_get_message=False,
        )
    )
    logging.raiseExceptions = False  # a record that cannot be formatted would be printed with its values
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    for name in _FOREIGN:
        logger = logging.getLogger(name)
        logger.handlers = [handler]  # a library that finds one adds none of its own
        logger.propagate = False
        logger.setLevel(logging.WARNING)


def _take_over_last_words() -> None:
    """Route warnings and uncaught exceptions here; Python would print their texts and source lines."""
    last_words = structlog.get_logger()

    def show_warning(
        message: Warning | str,  # noqa: ARG001 - may hold a value
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001 - as Python calls it
        line: str | None = None,  # noqa: ARG001 - see file
    ) -> None:
        place = f"{_module(filename)}:{lineno}"
        last_words.warning("warning of a library", category=category.__name__, place=place)

    def show_exception(_type: type[BaseException], error: BaseException, _trace: Any) -> None:
        last_words.critical("the process ended by an error", exc_info=error)

    def show_thread_exception(arguments: threading.ExceptHookArgs) -> None:
        thread = arguments.thread.name if arguments.thread else ""
        last_words.critical("a thread ended by an error", thread=thread, exc_info=arguments.exc_value)

    def show_unraisable(arguments: sys.UnraisableHookArgs) -> None:
        last_words.error("an error could not be raised", exc_info=arguments.exc_value)

    warnings.showwarning = show_warning
    sys.excepthook = show_exception
    threading.excepthook = show_thread_exception
    sys.unraisablehook = show_unraisable


def _renderer(log: Log, stream: TextIO) -> Processor:
    on_terminal = stream.isatty()
    if log.format == "json" or (log.format == "auto" and not on_terminal):
        return structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=on_terminal)


def _foreign_record(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """Reduce another library's record to where it was made: its text, even as a template, may hold values."""
    record: logging.LogRecord = event["_record"]
    kept = {key: event[key] for key in ("_record", "_from_structlog") if key in event}
    return {
        **kept,
        "event": "message of a library",
        "library": record.name,
        "place": f"{_module(record.pathname)}:{record.lineno}",
        "exc_info": record.exc_info,
    }


def _describe_error(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """Replace an exception by its type, its places and, if it is one of ours, its text and hint."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given is True else given
    event.pop("exception", None)
    event.pop("stack_info", None)
    if isinstance(error, BaseException):
        event.update(_error_fields(error))
    return event


def _error_fields(error: BaseException) -> dict[str, object]:
    frames = traceback.extract_tb(error.__traceback__)
    fields: dict[str, object] = {
        "error_type": type(error).__name__,
        "error_at": [f"{_module(frame.filename)}:{frame.lineno}" for frame in frames],
    }
    if type(error).__module__.partition(".")[0] in _OURS:
        fields |= {"error": str(error), "hint": getattr(error, "hint", "")}
    if cause := error.__cause__ or error.__context__:
        fields["error_cause"] = type(cause).__name__
    return fields


def _keep_known_fields(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """Drop the fields that are not on the list, and clean the others."""
    order = sorted(event, key=lambda key: key not in _FIRST)
    kept = {key: _clean(event[key]) for key in order if key in FIELDS}
    meta = {key: value for key, value in event.items() if key in ("_record", "_from_structlog")}
    if dropped := len(event) - len(kept) - len(meta):
        kept["fields_dropped"] = dropped
    return kept | meta


def _clean(value: object) -> object:
    """Return plain data: texts cut and without control characters, other objects as their type's name."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return "".join(
            letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in value[:_LONGEST]
        )
    if isinstance(value, tuple | list):
        return [_clean(each) for each in value]
    return type(value).__name__


def _module(filename: str) -> str:
    """Return the last two parts of a source file's path: enough to find it, nothing of the machine."""
    path = Path(filename)
    return os.path.join(path.parent.name, path.name)  # noqa: PTH118 - a text, not a file


_SHARED: list[Callable[[Any, str, EventDict], EventDict]] = [
    _describe_error,
    _keep_known_fields,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
