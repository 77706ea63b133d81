"""A node as a service runs it: its own process, started by the command, reached over the network."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.settings import Settings, load_settings
from darkroom.archive import Archive, open_archive
from db.records import JobState, LedgerEntry, SeriesState
from tests.witnesses import dcmtk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PATIENCE_S = 120.0

SETTINGS = """\
[node]
port = {port}

[storage]
folder = "{folder}"
free_fraction = 0.0
free_bytes = 1

[completion]
release_wait_s = 1.0
quiet_s = 5.0
incomplete_after_s = 6.0
look_every_s = 0.1

[worker]
backoff_s = 0.2

[log]
format = "json"
level = "debug"
"""
LOOPBACK_PEER = """
[[peers]]
name = "tester"
ae_title = "TESTER"
addresses = ["127.0.0.1"]
port = {port}
rights = ["echo", "store", "find", "get", "move"]
"""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_true(what: Callable[[], bool], *, patience_s: float = PATIENCE_S) -> None:
    """Return once `what` is true; fail if it is not within the patience."""
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@dataclass
class RunningNode:
    """A node in a folder of the test's."""

    folder: Path
    more_settings: str = ""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / "darkroom.toml"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    def start(self) -> None:
        """Start it and return once associations are accepted."""
        text = SETTINGS.format(port=self.port, folder=self.folder / "archive") + self.more_settings
        self.config.write_text(text, encoding="utf-8")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "darkroom", "serve", "--config", str(self.config)],
                stderr=log,
                stdout=log,
                start_new_session=True,
            )
        await_true(self._answers)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> int:
        """Stop it as a service manager does and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """Kill the node's own process as a crash would; its worker is left to notice."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """Leave nothing of it behind."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)

    @contextlib.contextmanager
    def archive(self) -> Iterator[Archive]:
        """Open what it keeps, beside it."""
        with open_archive(self.settings) as archive:
            yield archive

    def entries(self) -> list[LedgerEntry]:
        """Return its ledger."""
        with self.archive() as archive:
            return archive.ledger.entries()

    def await_quiet(self, series_count: int, *, revision: int = 1) -> list[LedgerEntry]:
        """Return the ledger once so many series have reached the revision and all their jobs have ended."""

        def is_quiet() -> bool:
            entries = self.entries()
            return len(entries) == series_count and all(
                entry.state is not SeriesState.RECEIVING
                and entry.revision >= revision
                and all(job.state in (JobState.DONE, JobState.FAILED) for job in entry.jobs)
                for entry in entries
            )

        await_true(is_quiet)
        return self.entries()

    def storescu(
        self, paths: Sequence[Path], *options: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Send files with DCMTK's storescu, in the order given."""
        return self.run("storescu", [*options], [str(path) for path in paths], check=check)

    def run(
        self,
        program: str,
        options: Sequence[str],
        arguments: Sequence[str] = (),
        *,
        check: bool = True,
        into: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one of DCMTK's programs against the node, in the folder `into`."""
        command = [
            dcmtk(program),
            "-aet",
            "TESTER",
            "-aec",
            "DARKROOM",
            *options,
            "127.0.0.1",
            str(self.port),
        ]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=check, cwd=into)
