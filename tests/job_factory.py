"""An index with one series and as many jobs as a test wants."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from db.engine import Engines, migrate, open_engines
from db.schema import instance, job, patient, revision, series, study

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from db.jobs import JobQueue

SOP_INSTANCE_UIDS = ("1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2")


def make_index(folder: Path) -> Engines:
    """Return the engines of a new index that holds one closed series of two instances."""
    migrate(folder)
    engines = open_engines(folder)
    with engines.write() as connection:
        connection.execute(insert(patient).values(id=1, identity_key="canary"))
        connection.execute(insert(study).values(id=1, patient_fk=1, study_instance_uid="1.2.1"))
        connection.execute(
            insert(series).values(
                id=1,
                study_fk=1,
                series_instance_uid="1.2.1.1",
                last_arrival_at=0.0,
                state="complete",
                revision=1,
            )
        )
        for number, uid in enumerate(SOP_INSTANCE_UIDS, start=1):
            connection.execute(insert(instance).values(_instance_row(number, uid)))
        connection.execute(
            insert(revision).values(
                id=1,
                series_fk=1,
                number=1,
                state="complete",
                reasons=[],
                last_instance_id=2,
                instance_count=2,
                closed_at=0.0,
            )
        )
    return engines


def insert_job(connection: Connection, job_id: str, *, queued_at: float | None = None) -> None:
    """Insert the row of a queued job; the engine is not told."""
    route = f"route {job_id}"  # a processor has one job per revision and route
    connection.execute(
        insert(job).values(
            id=job_id,
            revision_fk=1,
            route=route,
            processor="nifti",
            parameters={},
            findings=[],
            queued_at=time.time() if queued_at is None else queued_at,
        )
    )


def queue_job(engines: Engines, queue: JobQueue, job_id: str) -> None:
    """Insert a job and queue it, in one transaction, as the ledger does."""
    with engines.write() as connection:
        insert_job(connection, job_id)
        queue.enqueue(connection, job_id)


def job_round(engines: Engines, job_id: str) -> int:
    """Return the round a job is in."""
    with engines.read() as connection:
        return connection.execute(select(job.c.round).where(job.c.id == job_id)).scalar_one()


def _instance_row(number: int, uid: str) -> dict[str, object]:
    return {
        "id": number,
        "series_fk": 1,
        "sop_instance_uid": uid,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "has_pixel_data": True,
        "file_key": f"{number:064}",
        "dataset_sha256": f"{number:064}",
        "dataset_offset": 0,
        "dataset_bytes": 0,
        "received_at": 0.0,
    }
