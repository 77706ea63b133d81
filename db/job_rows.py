"""Rows of jobs and outputs, read as records."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import select

from db.records import FindingRecord, JobRecord, JobState, OutputRecord
from db.schema import instance, job, output, output_instance, revision, series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, RowMapping

_JOBS = job.join(revision, job.c.revision_fk == revision.c.id).join(
    series, revision.c.series_fk == series.c.id
)
_OUTPUTS = _JOBS.join(output, output.c.job_fk == job.c.id)
_INPUTS = _OUTPUTS.join(output_instance, output_instance.c.output_fk == output.c.id).join(
    instance, output_instance.c.instance_fk == instance.c.id
)


def read_jobs(connection: Connection, where: ColumnElement[bool]) -> list[JobRecord]:
    """Return the jobs that `where` selects, with their findings and outputs, oldest first.

    Parameters
    ----------
    connection
        A connection of either engine; the three reads see one state of the index if it is in a transaction.
    where
        A condition on the columns of ``job``, ``revision`` and ``series``.
    """
    statement = (
        select(job, revision.c.series_fk, revision.c.number, series.c.series_instance_uid)
        .select_from(_JOBS)
        .where(where)
        .order_by(job.c.queued_at, revision.c.id, job.c.route, job.c.processor)
    )
    rows = connection.execute(statement).mappings().all()
    if not rows:
        return []
    outputs = _read_outputs(connection, where)
    return [_job_record(row, outputs.get(row["id"], ())) for row in rows]


def finding_to_json(finding: FindingRecord) -> dict[str, object]:
    """Return the finding as the object that column ``job.findings`` holds."""
    return {
        "code": finding.code,
        "message": finding.message,
        "sop_instance_uids": list(finding.sop_instance_uids),
        "details": finding.details,
    }


def finding_from_json(value: Mapping[str, object]) -> FindingRecord:
    """Return the finding that `finding_to_json` wrote."""
    sop_instance_uids = value["sop_instance_uids"]
    details = value["details"]
    if not isinstance(sop_instance_uids, list) or not isinstance(details, dict):
        raise TypeError("not a finding's object")
    return FindingRecord(
        code=str(value["code"]),
        message=str(value["message"]),
        sop_instance_uids=tuple(sop_instance_uids),
        details=details,
    )


def _job_record(row: RowMapping, outputs: Sequence[OutputRecord]) -> JobRecord:
    return JobRecord(
        job_id=row["id"],
        series_id=row["series_fk"],
        series_instance_uid=row["series_instance_uid"],
        revision=row["number"],
        route=row["route"],
        processor=row["processor"],
        parameters=row["parameters"],
        state=JobState(row["state"]),
        tries=row["tries"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        error=row["error"],
        hint=row["hint"],
        findings=tuple(finding_from_json(value) for value in row["findings"]),
        outputs=tuple(outputs),
    )


def _read_outputs(connection: Connection, where: ColumnElement[bool]) -> dict[str, list[OutputRecord]]:
    inputs = _read_inputs(connection, where)
    statement = select(output).select_from(_OUTPUTS).where(where).order_by(output.c.path)
    outputs: dict[str, list[OutputRecord]] = defaultdict(list)
    for row in connection.execute(statement).mappings():
        outputs[row["job_fk"]].append(
            OutputRecord(
                path=row["path"],
                kind=row["kind"],
                sha256=row["sha256"],
                size_bytes=row["size_bytes"],
                inputs=tuple(inputs.get(row["id"], ())),
            )
        )
    return outputs


def _read_inputs(connection: Connection, where: ColumnElement[bool]) -> dict[int, list[tuple[str, str]]]:
    statement = (
        select(output.c.id, instance.c.sop_instance_uid, output_instance.c.output_uid)
        .select_from(_INPUTS)
        .where(where)
        .order_by(output.c.id, instance.c.id)
    )
    inputs: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for output_id, sop_instance_uid, output_uid in connection.execute(statement):
        inputs[output_id].append((sop_instance_uid, output_uid))
    return inputs
