"""Fixtures for the root's tests."""

from __future__ import annotations

import logging
import sys
import threading
import warnings

import pytest
import structlog

from darkroom.archive import make_archive
from tests.darkroom.command_line import CommandLine


@pytest.fixture
def restored_logs(monkeypatch):
    """Leave the process's logging as it was before the test."""
    for place, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(place, name, getattr(place, name))
    monkeypatch.setattr(logging, "raiseExceptions", True)
    names = ("pynetdicom", "dbos", "pydicom", "alembic", "sqlalchemy")
    loggers = [logging.root, *(logging.getLogger(name) for name in names)]
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in loggers]
    with warnings.catch_warnings():
        yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.level, logger.propagate = handlers, level, propagate


@pytest.fixture
def darkroom(tmp_path, capsys, monkeypatch, restored_logs):
    """The command line, with a data folder of its own."""
    monkeypatch.delenv("DARKROOM_CONFIG", raising=False)
    # cyclopts keeps the first console it made, and with it the width of the test that came first
    monkeypatch.setenv("COLUMNS", "250")
    command_line = CommandLine(tmp_path, capsys)
    command_line.configure()
    make_archive(command_line.settings)
    return command_line
