"""The worker and its supervisor as processes: killed and stopped at any moment, each job still ends once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.settings import Settings, Storage, Worker
from darkroom.worker import LOCK_FILE, WorkerProcess, run_worker
from db.jobs import JobQueue
from db.records import JobRecord, JobState
from tests.darkroom.worker_jobs import CONTENT
from tests.job_factory import make_index, queue_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROCESSOR = "tests.darkroom.worker_jobs:run_job"
DEADLINE_S = 60.0


class Bench:
    """A data folder with its queue and the settings of a worker on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engines = make_index(folder)
        self.queue = JobQueue(self.engines)
        self.queue.prepare()
        self.settings = Settings(
            storage=Storage(folder=folder),
            worker=Worker(tries=100, backoff_s=0.05, wall_s=60.0, memory_bytes=1024**3),
        )
        self.workers: list[WorkerProcess] = []

    def start(self) -> WorkerProcess:
        worker = WorkerProcess(self.settings, processor=PROCESSOR)
        worker.start()
        self.workers.append(worker)
        return worker

    def add(self, job_id: str) -> None:
        queue_job(self.engines, self.queue, job_id)

    def await_state(self, state: JobState, job_id: str) -> JobRecord:
        wait_until(lambda: self.queue.job(job_id).state == state)
        return self.queue.job(job_id)

    def begun(self, job_id: str) -> list[str]:
        path = self.folder / f"begun-{job_id}"
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.queue.close()
        self.engines.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr("darkroom.worker._RESTART_AFTER_S", 0.05)
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def check_result(bench: Bench, record: JobRecord) -> None:
    (output,) = record.outputs
    published = bench.settings.export_folder / output.path
    assert published.read_bytes() == CONTENT
    assert output.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert [finding.code for finding in record.findings] == ["seen"]


def test_job_is_done_published_and_recorded(bench: Bench) -> None:
    """A queued job goes all the way: child, staging, export folder, record; the rest is left alone."""
    bench.add("bad")
    bench.add("one")
    worker = bench.start()
    check_result(bench, bench.await_state(JobState.DONE, "one"))
    failed = bench.await_state(JobState.FAILED, "bad")
    assert (failed.error, failed.tries) == ("the codestream is cut short", 1)
    assert list((bench.settings.export_folder / ".staging").iterdir()) == []
    pid = worker.pid
    assert pid is not None
    worker.stop()
    assert not is_alive(pid)


def test_killed_workers_leave_one_result(bench: Bench) -> None:
    """The worker is killed at random moments and comes back by itself; every job ends with one whole result."""
    jobs = [f"slow-{number}" for number in range(3)]
    for job_id in jobs:
        bench.add(job_id)
    worker = bench.start()
    kills = 0
    while kills < 3:
        wait_until(lambda: worker.pid is not None and is_alive(worker.pid))
        time.sleep(random.uniform(0.1, 2.0))
        pid = worker.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            kills += 1
            wait_until(lambda pid=pid: worker.pid != pid)  # type: ignore[misc]
    for job_id in jobs:
        check_result(bench, bench.await_state(JobState.DONE, job_id))
    worker.stop()
    assert list((bench.settings.export_folder / ".staging").iterdir()) == []


def test_stopping_interrupts_a_long_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is to stop gives its job back, and leaves neither child nor staging folder."""
    monkeypatch.setattr("darkroom.worker.GRACE_S", 0.2)
    bench.add("endless")
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=(bench.settings, stop), kwargs={"processor": PROCESSOR})
    thread.start()
    wait_until(lambda: bench.begun("endless"))
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    record = bench.queue.job("endless")
    assert (record.state, record.tries) == (JobState.QUEUED, 0)
    assert not is_alive(int(bench.begun("endless")[0]))
    assert list((bench.settings.export_folder / ".staging").iterdir()) == []


def test_worker_ends_with_its_node(bench: Bench) -> None:
    """After kill -9 of the node neither worker nor child goes on, and the job waits for the next node."""
    bench.add("endless")
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from config.settings import Settings\n"
        "from darkroom.worker import WorkerProcess\n"
        "worker = WorkerProcess(Settings.model_validate_json(sys.argv[1]), processor=sys.argv[2])\n"
        "worker.start()\n"
        "while True:\n"
        "    if worker.pid: Path(sys.argv[3]).write_text(str(worker.pid))\n"
        "    time.sleep(0.05)\n"
    )
    pid_file = bench.folder / "pid"
    node = subprocess.Popen(
        [sys.executable, "-c", script, bench.settings.model_dump_json(), PROCESSOR, str(pid_file)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    wait_until(lambda: bench.begun("endless"))
    pids = [int(pid_file.read_text()), int(bench.begun("endless")[0])]
    node.kill()
    node.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids))
    record = bench.queue.job("endless")
    assert (record.state, record.tries) == (JobState.QUEUED, 0)


def test_one_worker_at_a_time(bench: Bench) -> None:
    """A second worker waits for the first to end, and can be stopped while it waits."""
    with (bench.folder / LOCK_FILE).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        bench.add("one")
        worker = bench.start()
        wait_until(lambda: worker.pid is not None)
        time.sleep(2.0)
        assert bench.begun("one") == []
        idle = WorkerProcess(bench.settings, processor=PROCESSOR)
        idle.start()
        idle.stop()
    check_result(bench, bench.await_state(JobState.DONE, "one"))
