"""Fixtures for the root's tests."""

from __future__ import annotations

import pytest

from tests.darkroom.command_line import CommandLine


@pytest.fixture
def darkroom(tmp_path, capsys, monkeypatch):
    """The command line, with a data folder of its own."""
    monkeypatch.delenv("DARKROOM_CONFIG", raising=False)
    command_line = CommandLine(tmp_path, capsys)
    command_line.configure()
    return command_line
