"""Health: what the service manager is told, over a real socket of the system."""

from __future__ import annotations

import os
import socket

import pytest

from darkroom.health import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """A socket that listens as the service manager's does, named as it names its own."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@darkroom-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listener


def test_each_message_is_one_datagram(manager):
    """The messages are those of sd_notify(3), with the status in the same datagram as what it explains."""
    notifier = Notifier()
    notifier.ready("listening on 127.0.0.1:11112")
    notifier.watchdog()
    notifier.status("12 series waiting")
    notifier.stopping()
    assert [manager.recv(1000) for _ in range(4)] == [
        b"READY=1\nSTATUS=listening on 127.0.0.1:11112",
        b"WATCHDOG=1",
        b"STATUS=12 series waiting",
        b"STOPPING=1",
    ]


def test_a_status_cannot_forge_another_message(manager):
    """Line breaks in a status would begin a new assignment; they become blanks."""
    Notifier().status("all is well\nSTOPPING=1")
    assert manager.recv(1000) == b"STATUS=all is well STOPPING=1"


def test_the_watchdog_is_told_well_within_its_time(manager, monkeypatch):
    """The interval is a third of what the manager allows, so that one late message is no alarm."""
    monkeypatch.setenv("WATCHDOG_USEC", "36000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier().interval_s == 12.0


@pytest.mark.parametrize(("usec", "pid"), [("36000000", "1"), ("", None), ("nonsense", None), ("0", None)])
def test_a_watchdog_that_is_not_ours_is_not_served(manager, monkeypatch, usec, pid):
    """Another process's watchdog, or none, leaves a plain interval that is never zero."""
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert Notifier().interval_s == 10.0


def test_without_a_manager_nothing_is_sent(monkeypatch):
    """A node that was started by hand tells nobody."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready("x")


def test_a_manager_that_went_away_does_not_stop_the_node(tmp_path, monkeypatch):
    """A socket that is not there is no error of the node's."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Notifier().ready("x")
