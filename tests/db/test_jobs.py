"""The jobs on the real engine: queued with the index's transaction, run once, retried, and never lost."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import OperationalError

from db import job_engine
from db.errors import IndexStateError, StoreError
from db.jobs import JobError, JobInterruptedError, JobQueue, JobResult, JobRunner, RetryPolicy
from db.records import JobRecord, JobState
from db.schema import metadata
from tests.db.runner_process import output_of
from tests.job_factory import insert_job, job_round, make_index, queue_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from db.engine import Engines

DEADLINE_S = 60.0
FAST = RetryPolicy(tries=3, backoff_s=0.1, backoff_max_s=10.0)
CANARY = "CANARY^PATIENT"


class Bench:
    """An index with its queue, and runners that are stopped at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engines: Engines = make_index(folder)
        self.queue = JobQueue(self.engines)
        self.queue.prepare()
        self._runners: list[JobRunner] = []

    def start(self, handler: Callable[[JobRecord], JobResult], policy: RetryPolicy = FAST) -> JobRunner:
        runner = JobRunner(self.engines, policy=policy, poll_s=0.05)
        runner.start(handler)
        self._runners.append(runner)
        return runner

    def stop(
        self, runner: JobRunner, grace_s: float = 5.0, interrupt: Callable[[], None] = lambda: None
    ) -> None:
        self._runners.remove(runner)
        runner.stop(grace_s, interrupt)

    def add(self, job_id: str = "one") -> None:
        queue_job(self.engines, self.queue, job_id)

    def await_state(self, state: JobState, job_id: str = "one") -> JobRecord:
        return await_record(self.queue, job_id, lambda record: record.state == state)

    def all_done(self) -> bool:
        return all(record.state == JobState.DONE for record in self.queue.jobs())

    def close(self) -> None:
        for runner in self._runners:
            runner.stop()
        self.queue.close()
        self.engines.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def await_record(queue: JobQueue, job_id: str, condition: Callable[[JobRecord], bool]) -> JobRecord:
    deadline = time.monotonic() + DEADLINE_S
    while not condition(record := queue.job(job_id)):
        assert time.monotonic() < deadline, record
        time.sleep(0.02)
    return record


def attempts_of(bench: Bench, jobs: tuple[str, ...]) -> int:
    """Return how many attempts have begun in processes."""
    files = [bench.folder / f"begun-{job_id}" for job_id in jobs]
    return sum(len(file.read_text().splitlines()) for file in files if file.exists())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finish(record: JobRecord) -> JobResult:
    return JobResult(outputs=(output_of(record.job_id),))


def start_process(folder: Path, handler: str, tries: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.db.runner_process", str(folder), handler, str(tries)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def end_process(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


# Queueing


def test_rolled_back_transaction_leaves_no_job(bench: Bench) -> None:
    """A series that could not be closed has no job, neither in the index nor in the engine."""
    with pytest.raises(ZeroDivisionError), bench.engines.write() as connection:  # noqa: PT012 - one transaction
        insert_job(connection, "one")
        bench.queue.enqueue(connection, "one")
        _ = 1 / 0
    assert bench.queue.jobs() == []
    assert job_engine.read_open_workflows(bench.queue.client) == {}


def test_committed_job_is_queued(bench: Bench) -> None:
    """What the transaction committed is in the queue, in both places."""
    bench.add()
    assert [record.state for record in bench.queue.jobs()] == [JobState.QUEUED]
    assert list(job_engine.read_open_workflows(bench.queue.client).values()) == [False]


def test_job_without_row_is_refused(bench: Bench) -> None:
    """The engine never hears of a job that the index does not have."""
    with pytest.raises(IndexStateError), bench.engines.write() as connection:
        bench.queue.enqueue(connection, "none")


def test_unprepared_index_is_named(tmp_path: Path) -> None:
    """Queueing before the engine's tables are there says what to do."""
    engines = make_index(tmp_path)
    with pytest.raises(IndexStateError, match="no tables") as caught:
        queue_job(engines, JobQueue(engines), "one")
    assert caught.value.hint
    engines.close()


def test_an_engine_that_cannot_start_is_an_error_of_ours(tmp_path: Path) -> None:
    """On a full disk the engine's own writes fail at the start: the worker gets an error that it can tell in one line."""

    class FullDisk:
        def register_queue(self, *_: object, **__: object) -> None:
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    engines = make_index(tmp_path)
    JobQueue(engines).prepare()
    own = job_engine.open_engine(engines)
    with pytest.raises(IndexStateError, match="cannot be used"):
        job_engine.launch(FullDisk(), own, lambda *_: None, concurrency=1, poll_s=1.0)  # type: ignore[arg-type]
    own.dispose()
    engines.close()


def test_jobs_by_state(bench: Bench) -> None:
    """The operator asks for all jobs, for those of a state, or for one."""
    bench.add("one")
    bench.add("two")
    assert [record.job_id for record in bench.queue.jobs()] == ["one", "two"]
    assert bench.queue.jobs(JobState.FAILED) == []
    assert bench.queue.job("two").job_id == "two"
    with pytest.raises(IndexStateError):
        bench.queue.job("none")


def test_tables_of_engine_and_index_have_different_names(tmp_path: Path) -> None:
    """Both keep their tables in one file."""
    bench = Bench(tmp_path)
    with bench.engines.read() as connection:
        present = set(inspect(connection).get_table_names())
    bench.close()
    ours = set(metadata.tables)
    alone = tmp_path / "alone.sqlite"
    job_engine._dbos().DBOS.migrate(f"sqlite:///{alone}")
    engine = create_engine(f"sqlite:///{alone}")
    theirs = set(inspect(engine).get_table_names())
    engine.dispose()
    assert theirs
    assert not ours & theirs
    assert ours | theirs <= present


# Running


def test_job_is_run_and_its_result_recorded(bench: Bench) -> None:
    """A queued job is done by itself, and its outputs belong to it."""
    bench.add()
    bench.start(finish)
    record = bench.await_state(JobState.DONE)
    assert record.outputs == (output_of("one"),)
    assert record.tries == 1
    assert bench.queue.foreign_paths("two", ["one/volume.nii.gz", "free"]) == ("one/volume.nii.gz",)
    assert bench.queue.foreign_paths("one", ["one/volume.nii.gz"]) == ()


def test_failing_job_is_retried_with_growing_pauses(bench: Bench) -> None:
    """Each pause is at least twice the one before; while it waits the job is queued and says why; then it is failed."""
    begun: list[float] = []
    seen: list[tuple[str, str]] = []

    def fail(record: JobRecord) -> JobResult:
        begun.append(time.monotonic())
        seen.append((record.error, record.hint))
        raise JobError("the disk is full", hint="free some", retryable=True)

    bench.add()
    bench.start(fail, RetryPolicy(tries=3, backoff_s=0.5, backoff_max_s=10.0))
    waiting = await_record(bench.queue, "one", lambda record: bool(record.error))
    assert waiting.state in (JobState.QUEUED, JobState.RUNNING)
    record = bench.await_state(JobState.FAILED)
    assert (record.error, record.hint, record.tries) == ("the disk is full", "free some", 3)
    assert seen == [("", ""), ("the disk is full", "free some"), ("the disk is full", "free some")]
    first, second = (later - sooner for sooner, later in pairwise(begun))
    assert first >= 0.5
    assert second >= 1.0


def test_waiting_job_does_not_hold_up_others(bench: Bench) -> None:
    """A job that waits for its next try takes no slot."""

    def handle(record: JobRecord) -> JobResult:
        if record.job_id == "one":
            raise JobError("not now", retryable=True)
        return finish(record)

    bench.add("one")
    bench.start(handle, RetryPolicy(tries=3, backoff_s=1000.0, backoff_max_s=1000.0))
    await_record(bench.queue, "one", lambda record: record.error == "not now")
    bench.add("two")
    bench.await_state(JobState.DONE, "two")
    assert bench.queue.job("one").state == JobState.QUEUED


def test_bad_input_fails_at_once(bench: Bench) -> None:
    """What can never succeed is not tried again."""

    def fail(record: JobRecord) -> JobResult:
        raise JobError("the codestream is cut short")

    bench.add()
    bench.start(fail)
    assert bench.await_state(JobState.FAILED).tries == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [(StoreError("the device failed"), "the device failed"), (ValueError(CANARY), "ValueError at")],
)
def test_other_errors_end_the_attempt_only(bench: Bench, error: Exception, words: str) -> None:
    """Whatever a handler raises, the runner goes on, and a foreign text is not kept."""

    def fail(record: JobRecord) -> JobResult:
        if record.job_id == "one":
            raise error
        return finish(record)

    bench.add("one")
    bench.add("two")
    bench.start(fail, RetryPolicy(tries=2, backoff_s=0.01))
    record = bench.await_state(JobState.FAILED, "one")
    assert words in record.error
    assert CANARY not in record.error
    assert record.tries == 2
    bench.await_state(JobState.DONE, "two")


def test_path_of_another_job_fails_the_second(bench: Bench) -> None:
    """The file belongs to the job that recorded it first; the other ends with that reason."""
    bench.add("one")
    bench.start(lambda _: JobResult(outputs=(output_of("same"),)))
    bench.await_state(JobState.DONE, "one")
    bench.add("two")
    record = bench.await_state(JobState.FAILED, "two")
    assert "another job" in record.error
    assert bench.queue.job("one").outputs == (output_of("same"),)


def test_interrupted_attempt_is_done_later_and_does_not_count(bench: Bench) -> None:
    """Stopping a worker in the middle of a job costs the job nothing but time."""
    interrupted, running = threading.Event(), threading.Event()

    def wait(record: JobRecord) -> JobResult:
        running.set()
        assert interrupted.wait(DEADLINE_S)
        raise JobInterruptedError("the worker is stopping")

    bench.add()
    runner = bench.start(wait)
    assert running.wait(DEADLINE_S)
    bench.stop(runner, grace_s=0.1, interrupt=interrupted.set)
    record = bench.queue.job("one")
    assert (record.state, record.tries) == (JobState.QUEUED, 0)
    bench.start(finish)
    assert bench.await_state(JobState.DONE).tries == 1


def test_running_job_may_end_within_the_grace(bench: Bench) -> None:
    """A stopping worker finishes what it can."""
    running = threading.Event()

    def work(record: JobRecord) -> JobResult:
        running.set()
        time.sleep(0.5)
        return finish(record)

    bench.add()
    runner = bench.start(work)
    assert running.wait(DEADLINE_S)
    bench.stop(runner, grace_s=30.0)
    assert bench.queue.job("one").state == JobState.DONE


def test_engine_is_silent_and_calls_nobody(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The engine's own voice is heard at warning and above only, through the standard loggers, and it opens no connection."""
    called: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *args: called.append(args))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: called.append(args))
    capfd.readouterr()
    bench.add()
    runner = bench.start(finish)
    bench.await_state(JobState.DONE)
    bench.stop(runner)
    assert called == []
    assert [record for record in caplog.records if record.name.startswith("dbos")] == []
    assert "dbos" not in "".join(capfd.readouterr()).lower()
    assert logging.getLogger("dbos").propagate


# Restarting, healing, forgetting


def test_retry_restarts_a_failed_job(bench: Bench) -> None:
    """The operator's retry begins a new round with all its tries."""
    broken = threading.Event()
    broken.set()

    def handle(record: JobRecord) -> JobResult:
        if broken.is_set():
            raise JobError("bad input")
        return finish(record)

    bench.add()
    bench.start(handle)
    bench.await_state(JobState.FAILED)
    broken.clear()
    bench.queue.retry("one")
    record = bench.await_state(JobState.DONE)
    assert (record.tries, record.error) == (1, "")
    assert job_round(bench.engines, "one") == 2
    with pytest.raises(IndexStateError, match="not failed"):
        bench.queue.retry("one")
    with pytest.raises(IndexStateError, match="no such job"):
        bench.queue.retry("none")


def test_lost_job_is_queued_again(bench: Bench) -> None:
    """If the engine forgets a job, as with its tables lost, the job's own row brings it back."""
    bench.add()
    assert bench.queue.heal() == 0
    bench.queue.client.delete_workflows(list(job_engine.read_open_workflows(bench.queue.client)))
    assert bench.queue.heal() == 1
    assert bench.queue.heal() == 0
    bench.start(finish)
    assert bench.await_state(JobState.DONE).tries == 1


def test_claimed_workflow_that_nobody_runs_is_queued_again(bench: Bench) -> None:
    """An attempt that could not even record its failure does not leave its job running for ever."""
    running, go_on = threading.Event(), threading.Event()

    def wait(record: JobRecord) -> JobResult:
        running.set()
        assert go_on.wait(DEADLINE_S)
        return finish(record)

    bench.add()
    runner = bench.start(wait)
    assert running.wait(DEADLINE_S)
    assert runner.heal() == 0
    assert bench.queue.heal(running=frozenset()) == 1
    go_on.set()
    record = bench.await_state(JobState.DONE)
    assert record.outputs == (output_of("one"),)


def test_ended_attempts_are_forgotten_and_jobs_are_kept(bench: Bench) -> None:
    """The engine's tables do not grow for ever."""
    bench.add("one")
    bench.add("two")
    runner = bench.start(finish)
    bench.await_state(JobState.DONE, "one")
    bench.await_state(JobState.DONE, "two")
    bench.stop(runner)
    bench.add("three")
    assert bench.queue.forget(time.time() - 3600) == 0
    assert bench.queue.forget(time.time() + 3600) == 2
    assert bench.queue.forget(time.time() + 3600) == 0
    assert [record.state for record in bench.queue.jobs()] == [JobState.DONE, JobState.DONE, JobState.QUEUED]
    assert len(job_engine.read_open_workflows(bench.queue.client)) == 1


# Killing


def test_killed_worker_leaves_its_job_to_the_next(bench: Bench) -> None:
    """However often and whenever workers are killed, each job ends with exactly one result."""
    jobs = ("one", "two", "three")
    for job_id in jobs:
        bench.add(job_id)
    for _ in range(5):
        process = start_process(bench.folder, "take_a_while", 1000)
        before = attempts_of(bench, jobs)
        wait_until(lambda before=before: attempts_of(bench, jobs) > before or bench.all_done())  # type: ignore[misc]
        time.sleep(random.uniform(0.0, 0.3))
        end_process(process)
    process = start_process(bench.folder, "finish", 1000)
    for job_id in jobs:
        record = bench.await_state(JobState.DONE, job_id)
        assert record.outputs == (output_of(job_id),)
        begun = (bench.folder / f"begun-{job_id}").read_text().splitlines()
        assert len(set(begun)) == len(begun)  # no attempt ran twice
        assert record.tries >= len(begun)
    end_process(process)


def test_poison_is_put_aside_and_can_be_retried(bench: Bench) -> None:
    """A job that takes its worker down every time ends as failed after its tries, and others are done."""
    bench.add()
    deaths = 0
    while bench.queue.job("one").state != JobState.FAILED:
        process = start_process(bench.folder, "poison", 2)
        deadline = time.monotonic() + DEADLINE_S
        while process.poll() is None and bench.queue.job("one").state != JobState.FAILED:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        deaths += process.returncode == -signal.SIGKILL
        end_process(process)
    record = bench.queue.job("one")
    assert (deaths, record.tries) == (2, 2)
    assert "ended 2 times" in record.error
    bench.queue.retry("one")
    process = start_process(bench.folder, "finish", 2)
    bench.await_state(JobState.DONE)
    end_process(process)
