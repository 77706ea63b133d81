"""The worker: a process of its own that does the jobs, and the one in the node that keeps it alive.

::

    node                             worker                              job's child
    WorkerProcess ──settings──────>  main                                see darkroom.isolation
                  ──(pipe's end)──>  the node is gone: stop at once
                  ──SIGTERM───────>  stop: grace, then interrupt
                                     run_worker: lock, runner, handler ──>  processor, into its staging folder
                                       publish, then record         <────   drafts and findings

A worker that is killed leaves its job to the next one; a job that was interrupted does not count the attempt.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import structlog

from darkroom.isolation import Limits, run_isolated
from darkroom.logs import set_up_logs
from darkroom.publish import check_drafts, clear_staging, make_staging, publish
from db.engine import open_engines
from db.errors import DbError
from db.jobs import JobError, JobQueue, JobResult, JobRunner, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from config.settings import Settings
    from config.settings import Worker as WorkerSettings
    from darkroom.outputs import OutputDraft
    from db.records import FindingRecord, JobRecord, OutputRecord

_log = structlog.get_logger(__name__)

PROCESSOR = "darkroom.processors:run_job"
LOCK_FILE = "worker.lock"
GRACE_S = 10.0
"""How long a running job may go on when the worker is to stop; then it is interrupted, and done after the next start."""

_LOOK_S = 0.2
_HEAL_EVERY_S = 60.0
_FORGET_AFTER_S = 7 * 86400.0
_RESTART_AFTER_S = 0.5
_RESTART_AFTER_MAX_S = 60.0
_SETTLED_S = 60.0
_STOP_PATIENCE_S = 15.0
_CODE = "from darkroom.worker import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHandler:
    """Does one job: runs its processor in a child, and publishes what it made."""

    settings: Settings
    queue: JobQueue
    cancel: threading.Event
    processor: str = PROCESSOR

    def __call__(self, job: JobRecord) -> JobResult:
        """Return the published outputs and the findings.

        Raises
        ------
        JobInterruptedError
            If `cancel` was set.
        JobError
            If the job cannot be done.
        """
        export_folder = self.settings.export_folder
        staging = make_staging(export_folder, job.job_id)
        try:
            drafts, findings = self._process(job, staging)
            outputs = self._publish(job, drafts, staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return JobResult(outputs=outputs, findings=findings)

    def _process(
        self, job: JobRecord, staging: Path
    ) -> tuple[tuple[OutputDraft, ...], tuple[FindingRecord, ...]]:
        drafts, findings = run_isolated(
            self.processor,
            (job, self.settings, staging),
            limits=_limits(self.settings.worker),
            cancel=self.cancel,
        )
        return tuple(drafts), tuple(findings)

    def _publish(
        self, job: JobRecord, drafts: tuple[OutputDraft, ...], staging: Path
    ) -> tuple[OutputRecord, ...]:
        check_drafts(drafts)
        if self.queue.foreign_paths(job.job_id, [draft.path for draft in drafts]):
            raise JobError("an output has the path of another job's output")
        return publish(drafts, staging=staging, export_folder=self.settings.export_folder)


def run_worker(
    settings: Settings,
    stop: threading.Event,
    cancel: threading.Event | None = None,
    *,
    processor: str = PROCESSOR,
) -> None:
    """Do jobs until `stop` is set; waits first until no other worker has the data folder.

    Parameters
    ----------
    settings
        Checked settings.
    stop
        Set to take no more jobs and end, after `GRACE_S` for those that run.
    cancel
        Set, beside `stop`, to interrupt what runs at once.
    processor
        ``module:function``, called in a child with the job, the settings and an empty staging folder; returns the
        drafts of its outputs and its findings.

    Raises
    ------
    IndexStateError
        If there is no index, or one of another version.
    """
    cancel = threading.Event() if cancel is None else cancel
    with _sole_worker(settings.data_folder, stop) as granted:
        if not granted:
            return
        clear_staging(settings.export_folder)
        engines = open_engines(settings.data_folder)
        worker = settings.worker
        policy = RetryPolicy(
            tries=worker.tries, backoff_s=worker.backoff_s, backoff_max_s=worker.backoff_max_s
        )
        runner = JobRunner(engines, policy=policy, processes=worker.processes)
        queue = JobQueue(engines)
        runner.start(JobHandler(settings=settings, queue=queue, cancel=cancel, processor=processor))
        try:
            _log.info("worker ready", pid=os.getpid())
            _look_after(runner, stop)
        finally:
            runner.stop(GRACE_S, cancel.set)
            engines.close()
        _log.info("worker stopped", pid=os.getpid())


class WorkerProcess:
    """Starts the worker's process, starts it again when it dies, and stops it."""

    def __init__(self, settings: Settings, *, processor: str = PROCESSOR) -> None:
        self._settings = settings
        self._processor = processor
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="worker-supervisor")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The number of the worker's process; None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Begin to keep a worker alive."""
        self._thread.start()

    def stop(self, patience_s: float = GRACE_S + _STOP_PATIENCE_S) -> None:
        """Ask the worker to stop and wait; one that does not within `patience_s` seconds is killed."""
        self._stopping.set()
        self._thread.join(patience_s)
        process = self._process
        if self._thread.is_alive() and process is not None:
            process.kill()
        self._thread.join()

    def _supervise(self) -> None:
        pause_s = _RESTART_AFTER_S
        while not self._stopping.is_set():
            started = time.monotonic()
            exit_code = self._run_once()
            if self._stopping.is_set():
                return
            settled = time.monotonic() - started > _SETTLED_S
            pause_s = _RESTART_AFTER_S if settled else min(pause_s * 2, _RESTART_AFTER_MAX_S)
            _log.error("worker ended", exit_code=exit_code, pause_s=pause_s)
            self._stopping.wait(pause_s)

    def _run_once(self) -> int:
        """Run one worker to its end and return its exit code."""
        theirs, ours = Pipe(duplex=False)
        with ours:
            with theirs:
                self._process = process = _spawn(theirs)
            try:
                ours.send((self._settings, self._processor))
            except BrokenPipeError:
                return process.wait()
            while process.poll() is None:
                if self._stopping.wait(_LOOK_S):
                    process.terminate()
                    process.wait()
        self._process = None
        return process.returncode


def main() -> None:
    """Run a worker for the `WorkerProcess` whose pipe is the first argument; the process ends here."""
    stop, cancel = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the node says what it means
    pipe = Connection(int(sys.argv[1]), writable=False)
    settings, processor = pipe.recv()
    set_up_logs(settings.log)

    def stop_with_the_node() -> None:
        pipe.poll(None)  # nothing more is ever sent: this is the end of the pipe, and of the node
        cancel.set()
        stop.set()

    threading.Thread(target=stop_with_the_node, name="node-watch", daemon=True).start()
    try:
        run_worker(settings, stop, cancel, processor=processor)
    except DbError as error:
        _log.error("worker cannot work", error=str(error), hint=error.hint)
        sys.exit(1)


def _spawn(pipe: Connection) -> subprocess.Popen[bytes]:
    # Not multiprocessing: its children, and theirs, would each run the node's main module again.
    environment = {
        # One job is one core's work: a matrix library that takes all of them makes the node wait.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder),
    }
    descriptor = pipe.fileno()
    return subprocess.Popen(  # noqa: S603 - this very Python, with our own code
        [sys.executable, "-c", _CODE, str(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        env=environment,
    )


@contextmanager
def _sole_worker(folder: Path, stop: threading.Event) -> Iterator[bool]:
    """Hold the folder's lock for workers; gives False if `stop` was set before it was free.

    The worker of a node that was killed may still be stopping, and a job must not run twice at a time.
    """
    with (folder / LOCK_FILE).open("a") as lock:
        while not stop.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stop.wait(_LOOK_S)
            else:
                yield True
                return
        yield False


def _look_after(runner: JobRunner, stop: threading.Event) -> None:
    """Keep the queue whole and small until the worker is to stop."""
    while not stop.is_set():
        try:
            runner.forget(time.time() - _FORGET_AFTER_S)
            runner.heal()
        except DbError as error:  # a full disk, for example; the jobs say so themselves
            _log.warning("queue not looked after", error=str(error), hint=error.hint)
        stop.wait(_HEAL_EVERY_S)


def _limits(worker: WorkerSettings) -> Limits:
    return Limits(memory_bytes=worker.memory_bytes, cpu_s=worker.cpu_s, wall_s=worker.wall_s)
