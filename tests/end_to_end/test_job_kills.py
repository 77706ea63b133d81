"""Node, worker and jobs killed at random moments: every series still ends with exactly one result a job."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from db.records import JobState
from db.schema import job, output
from tests.end_to_end.test_whole_way import write
from tests.series_factory import SeriesGeometry, ct_series
from tests.witnesses import dcmtk

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.running_node import RunningNode

pytestmark = pytest.mark.witness

SERIES = 8
KILLS = 12
PROCESSORS = {"nifti", "png", "dicom"}
SETTINGS = """
[[routes]]
name = "all"
processors = ["nifti", "png", "dicom"]
"""


def test_killed_jobs_end_with_one_result(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """Killed one by one and all at once while series arrive: one result a job, and outputs as recorded."""
    node = start_node(SETTINGS)
    chance = random.Random(7)
    sending = _send_slowly(tmp_path, node)
    hits = 0
    for number in range(KILLS):
        time.sleep(chance.uniform(0.2, 0.8))
        hits += _await_running(node)
        time.sleep(chance.uniform(0.0, 0.2))
        _kill(node, ("job", "worker", "node", "all")[number % 4])
    assert hits > KILLS / 3, "there was nothing to kill"
    sending.wait()
    _send_again(tmp_path, node)
    entries = node.await_quiet(SERIES)

    for entry in entries:
        assert entry.instance_count == 6
        last = [each for each in entry.jobs if each.revision == entry.revision]
        assert Counter(each.processor for each in last) == Counter(PROCESSORS)
        assert {each.state for each in entry.jobs} == {JobState.DONE}, [each.error for each in entry.jobs]
    _check_outputs(node)
    assert node.stop() == 0
    assert not list((node.settings.export_folder / ".staging").glob("*"))


def _send_slowly(folder: Path, node: RunningNode) -> subprocess.Popen[bytes]:
    """Start to send every series, one after another, whatever becomes of the node meanwhile."""
    commands = []
    for number in range(SERIES):
        paths = write(folder / f"in-{number}", ct_series(SeriesGeometry(slices=6), name=f"kills-{number}"))
        names = " ".join(str(path) for path in paths)
        commands.append(f"{dcmtk('storescu')} -aec DARKROOM 127.0.0.1 {node.port} {names}; sleep 1")
    return subprocess.Popen(["/bin/sh", "-c", "; ".join(commands)], stderr=subprocess.DEVNULL)


def _send_again(folder: Path, node: RunningNode) -> None:
    """Send what a killed node refused, as a modality does; what is there already changes nothing."""
    for number in range(SERIES):
        node.storescu(sorted((folder / f"in-{number}").iterdir()))


def _await_running(node: RunningNode) -> bool:
    """Return soon, and whether a job runs."""
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        if any(each.state is JobState.RUNNING for entry in node.entries() for each in entry.jobs):
            return True
        time.sleep(0.02)
    return False


def _kill(node: RunningNode, whom: str) -> None:
    assert node.process is not None
    descendants = _descendants(node.process.pid)
    workers = [pid for pid in descendants if "darkroom.worker" in _command(pid)]
    jobs = [pid for pid in descendants if pid not in workers]
    victims = {
        "job": jobs,
        "worker": workers,
        "node": [node.process.pid],
        "all": [node.process.pid, *descendants],
    }
    for pid in victims[whom]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if whom in {"node", "all"}:
        node.process.wait()
        node.start()


def _descendants(parent: int) -> list[int]:
    """Return the processes that a process started, and that those started."""
    with suppress(OSError):
        children = Path(f"/proc/{parent}/task").glob("*/children")
        own = [int(pid) for path in children for pid in path.read_text().split()]
        return own + [below for pid in own for below in _descendants(pid)]
    return []


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def _check_outputs(node: RunningNode) -> None:
    """Every recorded output is there as recorded, and nothing is there that is not recorded."""
    with node.archive() as archive, archive.engines.read() as connection:
        recorded = connection.execute(select(output.c.path, output.c.sha256)).all()
        done = connection.execute(select(func.count()).select_from(job)).scalar_one()
        owners = connection.execute(select(func.count(func.distinct(output.c.job_fk)))).scalar_one()
    assert owners == done
    folder = node.settings.export_folder
    for path, sha256 in recorded:
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == sha256, path
    present = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".staging" not in path.parts
    }
    assert present == {path for path, _ in recorded}
