"""Jobs as records: each with its own findings, outputs and inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, true

from db.job_rows import finding_from_json, finding_to_json, read_jobs
from db.records import FindingRecord, JobRecord, JobState, OutputRecord
from db.schema import job, output, output_instance, series
from tests.job_factory import SOP_INSTANCE_UIDS, insert_job, make_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from db.engine import Engines

FINDING = FindingRecord(
    code="gap", message="A slice is missing.", sop_instance_uids=("1.2", "1.3"), details={"gap_mm": 2.5}
)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    engines = make_index(tmp_path)
    with engines.write() as connection:
        insert_job(connection, "b", queued_at=2.0)
        insert_job(connection, "a", queued_at=1.0)
        values = {"state": "done", "tries": 2, "started_at": 3.0, "finished_at": 4.0}
        findings = [finding_to_json(FINDING)]
        connection.execute(job.update().where(job.c.id == "a").values(findings=findings, **values))
        for number, (job_id, path) in enumerate(
            (("a", "x/2.png"), ("a", "x/1.png"), ("b", "y.nii.gz")), start=1
        ):
            row = {
                "id": number,
                "job_fk": job_id,
                "path": path,
                "kind": "png",
                "sha256": "0f",
                "size_bytes": 9,
            }
            connection.execute(insert(output), row)
        for output_id, instance_id in ((1, 2), (1, 1), (3, 1)):
            row = {
                "output_fk": output_id,
                "instance_fk": instance_id,
                "output_uid": f"2.25.{output_id}{instance_id}",
            }
            connection.execute(insert(output_instance), row)
    yield engines
    engines.close()


def test_a_job_with_all_that_came_of_it(engines: Engines) -> None:
    """State, findings, outputs by path, and each output's inputs under both of their UIDs."""
    with engines.read() as connection:
        (found,) = read_jobs(connection, job.c.id == "a")
    picture = OutputRecord(path="x/1.png", kind="png", sha256="0f", size_bytes=9)
    assert found == JobRecord(
        job_id="a",
        series_id=1,
        series_instance_uid="1.2.1.1",
        revision=1,
        route=found.route,
        processor=found.processor,
        parameters=found.parameters,
        state=JobState.DONE,
        tries=2,
        queued_at=1.0,
        started_at=3.0,
        finished_at=4.0,
        findings=(FINDING,),
        outputs=(
            picture,
            OutputRecord(
                path="x/2.png",
                kind="png",
                sha256="0f",
                size_bytes=9,
                inputs=((SOP_INSTANCE_UIDS[0], "2.25.11"), (SOP_INSTANCE_UIDS[1], "2.25.12")),
            ),
        ),
    )


def test_jobs_come_in_the_order_they_were_queued(engines: Engines) -> None:
    """All of them, or those of a series; outputs are not mixed up."""
    with engines.read() as connection:
        found = read_jobs(connection, true())
        assert read_jobs(connection, series.c.series_instance_uid == "1.2.1.1") == found
        assert read_jobs(connection, series.c.series_instance_uid == "1.9") == []
    assert [record.job_id for record in found] == ["a", "b"]
    assert [output.path for output in found[1].outputs] == ["y.nii.gz"]
    assert found[1].outputs[0].inputs == ((SOP_INSTANCE_UIDS[0], "2.25.31"),)


@pytest.mark.parametrize(
    "finding",
    [FINDING, FindingRecord(code="x", message="y"), FindingRecord(code="", message="", details={"a": [1]})],
)
def test_findings_come_back(finding: FindingRecord) -> None:
    """What is written into a row is read from it."""
    assert finding_from_json(finding_to_json(finding)) == finding


def test_what_is_no_finding_is_refused() -> None:
    """A row that somebody else wrote is not silently half read."""
    with pytest.raises(TypeError):
        finding_from_json({"code": "a", "message": "b", "sop_instance_uids": "1.2", "details": {}})
