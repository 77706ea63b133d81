"""The node as a whole: it runs in a process of its own until it is told to stop, alone in its folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

PATIENCE_S = 60.0
SETTINGS = """\
[node]
port = 0

[storage]
folder = "{folder}"
free_fraction = 0.0
free_bytes = 1

[log]
format = "json"
"""


def serve(folder):
    """Start a node on a free port, with its log on a pipe."""
    config = folder / "darkroom.toml"
    config.write_text(SETTINGS.format(folder=folder / "data"))
    command = [sys.executable, "-m", "darkroom", "serve", "--config", str(config)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@contextmanager
def ready_node(folder):
    """Keep a node that has said that it is ready; whatever is left of it at the end is killed."""
    with serve(folder) as node:
        try:
            for line in node.stderr:
                if json.loads(line)["event"] == "node ready":
                    break
            yield node
        finally:
            node.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_order(tmp_path, number):
    """Ctrl-C and SIGTERM end it with exit code 0 and its last word; no draft is left, and its folder is free again."""
    with ready_node(tmp_path) as node:
        node.send_signal(number)
        log = [json.loads(line) for line in node.communicate(timeout=PATIENCE_S)[1].splitlines()]
        assert node.returncode == 0
        assert log[-1]["event"] == "node stopped"
        assert {entry["level"] for entry in log} <= {"info"}
    assert list((tmp_path / "data" / "drafts").iterdir()) == []
    with ready_node(tmp_path) as again:
        assert again.poll() is None


def test_a_second_node_on_the_folder_is_refused(tmp_path):
    """It ends with exit code 3, one line of what is wrong and one of what to do; the first one goes on."""
    with ready_node(tmp_path) as node:
        second = serve(tmp_path)
        said = second.communicate(timeout=PATIENCE_S)[1].splitlines()
        assert second.returncode == 3
        assert [line.partition(":")[0] for line in said] == ["error", "hint"]
        assert "Another node" in said[0]
        assert node.poll() is None


def test_stale_drafts_are_removed_at_the_start(tmp_path):
    """What a crash left half written goes when the next node starts; it was never acknowledged."""
    draft = tmp_path / "data" / "drafts" / "half.draft"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"half")
    with ready_node(tmp_path):
        assert not draft.exists()
