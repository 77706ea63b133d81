"""The ledger: how far each series has come, on which evidence, and what was made of it."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, bindparam, func, insert, select, true, update

from db.errors import IndexStateError
from db.facts import read_facts
from db.instance_rows import SELECT_STORED, read_stored
from db.job_rows import read_jobs
from db.query import ATTRIBUTES, can_match
from db.records import JobState, LedgerEntry, Level, SeriesState
from db.schema import instance, job, patient, revision, series, study

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, RowMapping

    from db.engine import Engines
    from db.records import JobRecord, JobRequest, SeriesFacts, StoredInstance

_JOB_NAMESPACE = uuid.UUID("7c3c1f5e-7d4e-4a43-9f5b-0d9c0f0f6f1b")

# From which states a series may be closed. An operator may force what was closed for want of images.
_CLOSABLE = frozenset({SeriesState.RECEIVING})
_FORCIBLE = frozenset({SeriesState.RECEIVING, SeriesState.INCOMPLETE})

_ATTRIBUTES = {
    keyword: attribute.shown
    for keyword, attribute in ATTRIBUTES.items()
    if attribute.level in (Level.PATIENT, Level.STUDY, Level.SERIES)
    and can_match(keyword)
    and isinstance(attribute.shown, Column)
}
"""What queries match on a series and its parents, as far as it is a column: nothing counted or listed."""

_DUE = select(series.c.id).where(series.c.look_at <= bindparam("now")).order_by(series.c.look_at, series.c.id)
_ENTRIES = (
    select(series, study.c.study_instance_uid, revision.c.reasons)
    .select_from(
        series.join(study).outerjoin(
            revision, (revision.c.series_fk == series.c.id) & (revision.c.number == series.c.revision)
        )
    )
    .order_by(series.c.last_arrival_at.desc(), series.c.id.desc())
)


class Ledger:
    """The ledger of the index."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def due(self, now: float, limit: int) -> list[SeriesFacts]:
        """Return the facts of at most `limit` series that are to be looked at, the longest due first."""
        with self._engines.read() as connection:
            due = connection.execute(_DUE.limit(limit), {"now": now}).scalars().all()
            return [read_facts(connection, series_id) for series_id in due]

    def facts(self, series_id: int) -> SeriesFacts:
        """Return the facts of one series, due or not.

        Raises
        ------
        IndexStateError
            If there is no such series.
        """
        with self._engines.read() as connection:
            return read_facts(connection, series_id)

    def postpone(self, series_id: int, look_at: float, *, change_count: int) -> None:
        """Look at the series again at `look_at`, unless something happened to it since its facts were read.

        Parameters
        ----------
        change_count
            Of the facts. If the series has another one by now, it stays due: what happened is to be seen.
        """
        statement = (
            update(series)
            .where(
                series.c.id == series_id,
                series.c.change_count == change_count,
                series.c.state == SeriesState.RECEIVING.value,
            )
            .values(look_at=look_at)
        )
        with self._engines.write() as connection:
            connection.execute(statement)

    def close(
        self,
        series_id: int,
        *,
        state: SeriesState,
        reasons: Sequence[str],
        at: float,
        instance_count: int,
        jobs: Sequence[JobRequest],
        enqueue: Callable[[Connection, str], None],
    ) -> int | None:
        """Close the series' next revision with its jobs queued, and return the revision's number.

        All of it in one transaction: there is no closed series without its jobs, and no job without its series.

        Parameters
        ----------
        series_id
            A series that is receiving; to force it, it may also be incomplete.
        state
            Any but receiving.
        reasons
            The evidence, in sentences.
        at
            Now, in seconds since the epoch.
        instance_count
            Of the facts that were judged.
        jobs
            What is to be made of it; each pair of route and processor once.
        enqueue
            Called with the connection of the transaction and each job's id, after the job's row is there.

        Returns
        -------
        int or None
            None, and nothing is changed, if the series was closed or grew since its facts were read.

        Raises
        ------
        IndexStateError
            If there is no such series, or a job is given twice.
        """
        closable = _FORCIBLE if state is SeriesState.FORCED else _CLOSABLE
        with self._engines.write() as connection:
            row = _series_row(connection, series_id)
            if row["instance_count"] != instance_count or SeriesState(row["state"]) not in closable:
                return None
            number = int(row["revision"]) + 1
            revision_id = _make_revision(connection, row, number=number, state=state, reasons=reasons, at=at)
            for request in jobs:
                job_id = job_identity(series_id, number, request)
                _make_job(connection, job_id, revision_id, request, at)
                enqueue(connection, job_id)
            connection.execute(
                update(series)
                .where(series.c.id == series_id)
                .values(state=state.value, revision=number, look_at=None)
            )
            return number

    def entries(self, series_instance_uid: str | None = None) -> list[LedgerEntry]:
        """Return the lines of all series, or of those with one UID; the latest arrival first."""
        where = true() if series_instance_uid is None else series.c.series_instance_uid == series_instance_uid
        jobs: dict[int, list[JobRecord]] = defaultdict(list)
        with self._engines.read() as connection:
            rows = connection.execute(_ENTRIES.where(where)).mappings().all()
            for record in read_jobs(connection, where):
                jobs[record.series_id].append(record)
        return [_entry(row, jobs[row["id"]]) for row in rows]

    def revision_instances(self, series_id: int, number: int) -> list[StoredInstance]:
        """Return the instances that a closed revision holds, in the order they were entered.

        Raises
        ------
        IndexStateError
            If the series has no such revision.
        """
        which = (revision.c.series_fk == series_id) & (revision.c.number == number)
        with self._engines.read() as connection:
            last = connection.execute(select(revision.c.last_instance_id).where(which)).scalar_one_or_none()
            if last is None:
                raise IndexStateError(f"series {series_id} has no revision {number}")
            statement = SELECT_STORED.where(instance.c.series_fk == series_id, instance.c.id <= last)
            return read_stored(connection, statement.order_by(instance.c.id))

    def series_attributes(self, series_id: int) -> dict[str, str]:
        """Return what the headers say of the series, its study and its patient, by DICOM keyword.

        Absent values are empty; numbers are written in decimal.

        Raises
        ------
        IndexStateError
            If there is no such series.
        """
        columns = [column.label(keyword) for keyword, column in _ATTRIBUTES.items()]
        statement = select(*columns).select_from(series.join(study).join(patient))
        with self._engines.read() as connection:
            row = connection.execute(statement.where(series.c.id == series_id)).mappings().one_or_none()
        if row is None:
            raise IndexStateError(f"there is no series {series_id}")
        return {keyword: "" if value is None else str(value) for keyword, value in row.items()}


def job_identity(series_id: int, number: int, request: JobRequest) -> str:
    """Return the id of a job: always the same for the same revision, route and processor."""
    name = json.dumps([series_id, number, request.route, request.processor])
    return str(uuid.uuid5(_JOB_NAMESPACE, name))


def _series_row(connection: Connection, series_id: int) -> RowMapping:
    row = connection.execute(select(series).where(series.c.id == series_id)).mappings().one_or_none()
    if row is None:
        raise IndexStateError(f"there is no series {series_id}")
    return row


def _make_revision(
    connection: Connection,
    row: RowMapping,
    *,
    number: int,
    state: SeriesState,
    reasons: Sequence[str],
    at: float,
) -> int:
    last = select(func.max(instance.c.id)).where(instance.c.series_fk == row["id"])
    values = {
        "series_fk": row["id"],
        "number": number,
        "state": state.value,
        "reasons": list(reasons),
        "last_instance_id": connection.execute(last).scalar_one(),
        "instance_count": row["instance_count"],
        "closed_at": at,
    }
    return int(connection.execute(insert(revision).returning(revision.c.id), values).scalar_one())


def _make_job(connection: Connection, job_id: str, revision_id: int, request: JobRequest, at: float) -> None:
    values: dict[str, Any] = {
        "id": job_id,
        "revision_fk": revision_id,
        "route": request.route,
        "processor": request.processor,
        "parameters": request.parameters,
        "state": JobState.QUEUED.value,
        "queued_at": at,
        "findings": [],
    }
    connection.execute(insert(job), values)


def _entry(row: RowMapping, jobs: Sequence[JobRecord]) -> LedgerEntry:
    return LedgerEntry(
        series_id=row["id"],
        series_instance_uid=row["series_instance_uid"],
        study_instance_uid=row["study_instance_uid"],
        modality=row["modality"],
        state=SeriesState(row["state"]),
        revision=row["revision"],
        instance_count=row["instance_count"],
        conflict_count=row["conflict_count"],
        reasons=tuple(row["reasons"] or ()),
        last_arrival_at=row["last_arrival_at"],
        jobs=tuple(jobs),
    )
