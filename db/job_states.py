"""What happens to a job's row: the values of the job port and the transitions between the states.

::

    queued ──begin──> running ──record_result──> done
      ^                 │  │
      │<──queue_again───┘  └──record_failure──> failed
      └──────────────queue_again (by an operator)──┘

Every transition names the `Ticket` it acts for and changes nothing if the job's row has moved on, so an attempt
that was resumed twice, or that wakes up late, cannot record a second result.
The job's own row is the truth; the queue only says when to look at it.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from db.errors import DbError, IndexStateError
from db.job_rows import finding_to_json, read_jobs
from db.records import FindingRecord, JobRecord, JobState, OutputRecord
from db.schema import instance, job, output, output_instance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

_UIDS_A_QUERY = 500
_LEAST_STEP_S = 0.001


class JobError(DbError):
    """A job cannot be done.

    Attributes
    ----------
    retryable
        Whether a later attempt may fare better. Input that cannot be read never does.
    """

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable

    @classmethod
    def unexpected(cls, error: BaseException) -> Self:
        """Return the error for an exception that nobody foresaw: its type and place, never its text.

        The text of a foreign exception may hold values of the data set.
        """
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {_module_of(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
        return cls(
            f"unexpected {type(error).__name__}{place}", hint="this is a defect; report it", retryable=True
        )


class JobInterruptedError(JobError):
    """The worker is stopping; the job is not at fault, and the attempt does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What a job leaves: the published files, and what the operator should know."""

    outputs: tuple[OutputRecord, ...] = ()
    findings: tuple[FindingRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a job is tried, and how long it waits between."""

    tries: int = 3
    backoff_s: float = 5.0
    backoff_max_s: float = 600.0

    def pause_s(self, tries: int) -> float:
        """Return the pause after so many tries, in seconds: it doubles with each, up to the most."""
        return float(min(self.backoff_max_s, self.backoff_s * 2.0 ** (tries - 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One queueing of one job. Only the last ticket of a job counts; its moment tells it from the earlier ones."""

    job_id: str
    queued_at: float

    @property
    def workflow_id(self) -> str:
        """The name of this queueing in the engine's tables."""
        return f"{self.job_id}.{round(self.queued_at * 1e6)}"


def read_ticket(connection: Connection, job_id: str) -> Ticket:
    """Return the job's last ticket.

    Raises
    ------
    IndexStateError
        If there is no such job.
    """
    queued_at = connection.execute(select(job.c.queued_at).where(job.c.id == job_id)).scalar_one_or_none()
    if queued_at is None:
        raise IndexStateError("there is no such job")
    return Ticket(job_id=job_id, queued_at=queued_at)


def begin(connection: Connection, ticket: Ticket, policy: RetryPolicy, now: float) -> JobRecord | None:
    """Count an attempt and return the job to be run, or None if there is nothing to run for this ticket.

    An attempt counts when it begins: one that takes the worker down with it is counted too, and a job
    that does so every time ends as failed.
    """
    row = connection.execute(
        select(job.c.state, job.c.tries, job.c.error).where(_is_open(ticket)).with_for_update()
    ).one_or_none()
    if row is None:
        return None
    if row.tries >= policy.tries:
        killed = row.state == JobState.RUNNING or not row.error
        _fail(connection, ticket, _worker_ended(row.tries) if killed else None, now)
        return None
    connection.execute(
        update(job)
        .where(_is_open(ticket))
        .values(state=JobState.RUNNING.value, tries=job.c.tries + 1, started_at=now, finished_at=None)
    )
    return read_jobs(connection, job.c.id == ticket.job_id)[0]


def record_result(connection: Connection, ticket: Ticket, result: JobResult, now: float) -> bool:
    """Record the result and return whether it was; False if the job has moved on.

    Raises
    ------
    JobError
        If an output's path belongs to another job, or an input is not in the index.
    """
    changed = connection.execute(
        update(job)
        .where(_is_running(ticket))
        .values(
            state=JobState.DONE.value,
            finished_at=now,
            findings=[finding_to_json(finding) for finding in result.findings],
            error="",
            hint="",
        )
    )
    if changed.rowcount == 0:
        return False
    _insert_outputs(connection, ticket.job_id, result.outputs)
    return True


def record_failure(connection: Connection, ticket: Ticket, error: JobError, now: float) -> bool:
    """End the running job as failed and return whether it was; False if the job has moved on."""
    return _fail(connection, ticket, error, now)


def queue_again(
    connection: Connection,
    ticket: Ticket,
    now: float,
    *,
    error: JobError | None = None,
    refund: bool = False,
    restart: bool = False,
) -> Ticket | None:
    """Put a job back into the queue and return its new ticket, or None if the job has moved on.

    Parameters
    ----------
    connection
        In the transaction that also tells the engine of the new ticket.
    ticket
        The ticket that the new one replaces.
    now
        Seconds since the epoch.
    error
        Why the last attempt failed; kept for the operator while the job waits.
    refund
        Whether the last attempt does not count.
    restart
        Whether this is the operator's new round of a failed job.
    """
    fresh = Ticket(job_id=ticket.job_id, queued_at=max(now, ticket.queued_at + _LEAST_STEP_S))
    values: dict[str, object] = {"state": JobState.QUEUED.value, "queued_at": fresh.queued_at}
    if error is not None:
        values |= {"error": str(error), "hint": error.hint}
    if refund:
        values["tries"] = job.c.tries - 1
    if restart:
        values |= {"round": job.c.round + 1, "tries": 0, "error": "", "hint": "", "finished_at": None}
    condition = _is(ticket) & (job.c.state == JobState.FAILED.value) if restart else _is_open(ticket)
    changed = connection.execute(update(job).where(condition).values(values))
    return fresh if changed.rowcount else None


def open_tickets(connection: Connection) -> list[Ticket]:
    """Return the last tickets of all jobs that are neither done nor failed."""
    statement = select(job.c.id, job.c.queued_at).where(
        job.c.state.in_((JobState.QUEUED.value, JobState.RUNNING.value))
    )
    return [Ticket(job_id=row.id, queued_at=row.queued_at) for row in connection.execute(statement)]


def _is(ticket: Ticket) -> ColumnElement[bool]:
    return (job.c.id == ticket.job_id) & (job.c.queued_at == ticket.queued_at)


def _is_open(ticket: Ticket) -> ColumnElement[bool]:
    return _is(ticket) & job.c.state.in_((JobState.QUEUED.value, JobState.RUNNING.value))


def _is_running(ticket: Ticket) -> ColumnElement[bool]:
    return _is(ticket) & (job.c.state == JobState.RUNNING.value)


def _worker_ended(tries: int) -> JobError:
    return JobError(
        f"the worker ended {tries} times before the job did",
        hint="see the kernel's log for a process that was killed; retry the job when the cause is gone",
    )


def _fail(connection: Connection, ticket: Ticket, error: JobError | None, now: float) -> bool:
    values: dict[str, object] = {"state": JobState.FAILED.value, "finished_at": now}
    if error is not None:
        values |= {"error": str(error), "hint": error.hint}
    return connection.execute(update(job).where(_is_open(ticket)).values(values)).rowcount > 0


def _insert_outputs(connection: Connection, job_id: str, outputs: Sequence[OutputRecord]) -> None:
    ids = _instance_ids(connection, outputs)
    for each in outputs:
        row: dict[str, object] = {"job_fk": job_id, "path": each.path, "kind": each.kind}
        row |= {"sha256": each.sha256, "size_bytes": each.size_bytes}
        try:
            output_id = connection.execute(insert(output).values(row).returning(output.c.id)).scalar_one()
        except IntegrityError as error:
            raise JobError("an output has the path of another job's output") from error
        if each.inputs:
            connection.execute(
                insert(output_instance),
                [
                    {"output_fk": output_id, "instance_fk": ids[stored], "output_uid": named}
                    for stored, named in each.inputs
                ],
            )


def _instance_ids(connection: Connection, outputs: Sequence[OutputRecord]) -> dict[str, int]:
    uids = sorted({stored for each in outputs for stored, _ in each.inputs})
    ids: dict[str, int] = {}
    for start in range(0, len(uids), _UIDS_A_QUERY):
        some = uids[start : start + _UIDS_A_QUERY]
        statement = select(instance.c.sop_instance_uid, instance.c.id).where(
            instance.c.sop_instance_uid.in_(some)
        )
        ids.update((row.sop_instance_uid, row.id) for row in connection.execute(statement))
    if len(ids) != len(uids):
        raise JobError(f"{len(uids) - len(ids)} inputs of the outputs are not in the index")
    return ids


def _module_of(path: str) -> str:
    """Return the last two parts of a source file's path: enough to find it, nothing about the machine."""
    parts = path.replace("\\", "/").removesuffix(".py").split("/")
    return ".".join(parts[-2:])
