"""The jobs: the port through which they are queued, run and shown.

A series is closed and its jobs are queued in one transaction, since the job engine keeps its tables in the index's file.

- An attempt begins, runs and settles in one step of the engine. When a worker dies, the next one resumes the step by
  itself, and the new attempt is counted in the job's row; the engine's own count starts again with each resume.
- A failed attempt settles by queueing the job again with a delay, in the transaction that says so in its row.
  Nothing waits in a worker's slot: a job that waits is queued.
- `JobQueue.heal` queues again what is open in the rows and unknown to the engine. Losing the engine's tables loses no job.

The node and the commands use `JobQueue`, a worker `JobRunner`.
"""

from __future__ import annotations

import math
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from db import job_engine
from db.errors import DbError, IndexStateError
from db.job_rows import read_jobs
from db.job_states import (
    JobError,
    JobInterruptedError,
    JobResult,
    RetryPolicy,
    Ticket,
    begin,
    open_tickets,
    queue_again,
    read_ticket,
    record_failure,
    record_result,
)
from db.schema import job, output

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from dbos import DBOSClient
    from sqlalchemy import Connection

    from db.engine import Engines
    from db.records import JobRecord, JobState

__all__ = ["JobError", "JobInterruptedError", "JobQueue", "JobResult", "JobRunner", "RetryPolicy"]

_log = structlog.get_logger(__name__)

_PATHS_A_QUERY = 500
_AFTER_INTERRUPT_S = 10
"""How long an interrupted attempt has to settle."""


class JobQueue:
    """The jobs as the node and the commands see them; it runs none."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def prepare(self) -> None:
        """Make or upgrade the engine's tables; to be called before the first `enqueue`, outside any transaction."""
        job_engine.make_tables(self._engines)

    def close(self) -> None:
        """Let go of the engine; the connections belong to the `Engines`."""
        if "client" in self.__dict__:
            self.client.destroy()

    def enqueue(self, connection: Connection, job_id: str) -> None:
        """Queue a job whose row is in the index, in the transaction of `connection`.

        Raises
        ------
        IndexStateError
            If there is no such job, or `prepare` was never called on this index.
        """
        self.send(connection, read_ticket(connection, job_id))

    def retry(self, job_id: str) -> None:
        """Begin a new round of a failed job.

        Raises
        ------
        IndexStateError
            If there is no such job, or it has not failed.
        """
        with self._engines.write() as connection:
            fresh = queue_again(connection, read_ticket(connection, job_id), time.time(), restart=True)
            if fresh is None:
                raise IndexStateError("the job has not failed", hint="only a failed job can be retried")
            self.send(connection, fresh)

    def jobs(self, state: JobState | None = None) -> list[JobRecord]:
        """Return all jobs, or those in one state, oldest first."""
        condition = job.c.id.is_not(None) if state is None else job.c.state == state.value
        with self._engines.read() as connection:
            return read_jobs(connection, condition)

    def job(self, job_id: str) -> JobRecord:
        """Return one job.

        Raises
        ------
        IndexStateError
            If there is no such job.
        """
        with self._engines.read() as connection:
            found = read_jobs(connection, job.c.id == job_id)
        if not found:
            raise IndexStateError("there is no such job")
        return found[0]

    def foreign_paths(self, job_id: str, paths: Sequence[str]) -> tuple[str, ...]:
        """Return those of the output paths that belong to another job."""
        foreign: list[str] = []
        with self._engines.read() as connection:
            for start in range(0, len(paths), _PATHS_A_QUERY):
                some = paths[start : start + _PATHS_A_QUERY]
                statement = select(output.c.path).where(output.c.path.in_(some), output.c.job_fk != job_id)
                foreign.extend(connection.execute(statement).scalars())
        return tuple(foreign)

    def forget(self, before: float) -> int:
        """Delete what the engine knows of attempts that ended before a moment and return how many; jobs are kept."""
        return job_engine.delete_ended_workflows(self.client, before)

    def heal(self, running: Collection[str] | None = None) -> int:
        """Queue again the open jobs of which the engine knows nothing and return how many.

        Parameters
        ----------
        running
            The workflows that this process runs now; None if the engine is still to resume what is claimed.
        """
        with self._engines.read() as connection:
            tickets = open_tickets(
                connection
            )  # before asking the engine: what ends in between changes its row
        if not tickets:
            return 0
        known = job_engine.read_open_workflows(self.client)
        return sum(
            self._requeue(ticket)
            for ticket in tickets
            if ticket.workflow_id not in known
            or (known[ticket.workflow_id] and running is not None and ticket.workflow_id not in running)
        )

    def send(self, connection: Connection, ticket: Ticket, delay_s: float = 0.0) -> None:
        """Tell the engine of a job's new ticket, in the transaction that made it."""
        job_engine.send(
            self.client,
            connection,
            workflow_id=ticket.workflow_id,
            ticket=(ticket.job_id, ticket.queued_at),
            delay_s=delay_s,
        )

    def _requeue(self, ticket: Ticket) -> bool:
        with self._engines.write() as connection:
            fresh = queue_again(connection, ticket, time.time())
            if fresh is not None:
                self.send(connection, fresh)
        if fresh is not None:
            _log.warning("lost job queued again", job_id=ticket.job_id)
        return fresh is not None

    @cached_property
    def client(self) -> DBOSClient:
        """The engine's client; opened by the first call that needs it."""
        return job_engine.open_client(self._engines)


class JobRunner:
    """The worker's side: takes jobs from the queue and runs each in a thread of its own.

    One runner at a time may be started on an index: it takes over what the last one left.
    """

    def __init__(
        self, engines: Engines, *, policy: RetryPolicy, processes: int = 1, poll_s: float = 0.8
    ) -> None:
        self._engines = engines
        self._queue = JobQueue(engines)
        self._policy = policy
        self._processes = processes
        self._poll_s = poll_s
        self._running: set[str] = set()

    def start(self, handler: Callable[[JobRecord], JobResult]) -> None:
        """Begin to run jobs with `handler`, first those that the worker before left unfinished.

        The handler raises `JobError` if the job cannot be done and `JobInterruptedError` if it was told to stop.
        It is called from several threads at once if there is more than one process.
        """
        self._handler = handler
        self._queue.prepare()
        self._queue.heal()
        self._engine = job_engine.open_engine(self._engines)
        self._shut_down = job_engine.launch(
            self._queue.client,
            self._engine,
            self._attempt,
            concurrency=self._processes,
            poll_s=self._poll_s,
        )

    def stop(self, grace_s: float = 0.0, interrupt: Callable[[], None] = lambda: None) -> None:
        """Take no more jobs, give the running ones a grace, then interrupt them and wait for them to settle.

        Parameters
        ----------
        grace_s
            How long the running attempts may go on, in seconds.
        interrupt
            Makes the handler raise `JobInterruptedError` soon in all its threads.
        """
        timer = threading.Timer(grace_s, interrupt)
        timer.start()
        self._shut_down(math.ceil(grace_s) + _AFTER_INTERRUPT_S if self._running else 0)
        timer.cancel()
        timer.join()
        self._engine.dispose()
        self._queue.close()

    def heal(self) -> int:
        """Queue again the open jobs that got lost, as after a full disk, and return how many."""
        return self._queue.heal(frozenset(self._running))

    def forget(self, before: float) -> int:
        """See `JobQueue.forget`."""
        return self._queue.forget(before)

    def _attempt(self, job_id: str, queued_at: float) -> None:
        ticket = Ticket(job_id=job_id, queued_at=queued_at)
        self._running.add(ticket.workflow_id)
        try:
            with self._engines.write() as connection:
                record = begin(connection, ticket, self._policy, time.time())
            if record is None:
                _log.warning("nothing to run for this ticket", job_id=job_id)
            else:
                self._run(ticket, record)
        finally:
            self._running.discard(ticket.workflow_id)

    def _run(self, ticket: Ticket, record: JobRecord) -> None:
        _log.info("job started", job_id=ticket.job_id, processor=record.processor, tries=record.tries)
        try:
            self._finish(ticket, self._handler(record))
        except JobInterruptedError:
            self._settle_again(ticket, refund=True)
        except JobError as error:
            self._settle_failure(ticket, record, error)
        except DbError as error:
            self._settle_failure(ticket, record, JobError(str(error), hint=error.hint, retryable=True))
        except Exception as error:  # noqa: BLE001 - the job boundary: whatever it is, it ends this attempt only
            self._settle_failure(ticket, record, JobError.unexpected(error))

    def _finish(self, ticket: Ticket, result: JobResult) -> None:
        with self._engines.write() as connection:
            recorded = record_result(connection, ticket, result, time.time())
        _log.info("job done" if recorded else "second result dropped", job_id=ticket.job_id)

    def _settle_failure(self, ticket: Ticket, record: JobRecord, error: JobError) -> None:
        if error.retryable and record.tries < self._policy.tries:
            self._settle_again(ticket, error=error, delay_s=self._policy.pause_s(record.tries))
            return
        with self._engines.write() as connection:
            record_failure(connection, ticket, error, time.time())
        _log.error("job failed", job_id=ticket.job_id, tries=record.tries, error=str(error))

    def _settle_again(
        self, ticket: Ticket, *, error: JobError | None = None, delay_s: float = 0.0, refund: bool = False
    ) -> None:
        with self._engines.write() as connection:
            fresh = queue_again(connection, ticket, time.time(), error=error, refund=refund)
            if fresh is not None:
                self._queue.send(connection, fresh, delay_s)
        _log.warning("job queued again", job_id=ticket.job_id, pause_s=delay_s, error=str(error or ""))
