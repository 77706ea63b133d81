"""The transitions of a job's row: each happens once, for the last ticket only, and every attempt is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from db.errors import IndexStateError
from db.job_rows import read_jobs
from db.job_states import (
    JobError,
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
from db.records import FindingRecord, JobRecord, JobState, OutputRecord
from db.schema import job
from tests.job_factory import SOP_INSTANCE_UIDS, insert_job, job_round, make_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from db.engine import Engines

POLICY = RetryPolicy(tries=3, backoff_s=5.0, backoff_max_s=60.0)
TICKET = Ticket(job_id="one", queued_at=100.0)
RESULT = JobResult(
    outputs=(
        OutputRecord(
            path="one/volume.nii.gz",
            kind="nifti",
            sha256="a" * 64,
            size_bytes=12,
            inputs=((SOP_INSTANCE_UIDS[0], "2.25.1"), (SOP_INSTANCE_UIDS[1], "2.25.2")),
        ),
    ),
    findings=(
        FindingRecord(code="gap", message="a slice is missing", sop_instance_uids=("1.2",), details={"n": 1}),
    ),
)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    engines = make_index(tmp_path)
    with engines.write() as connection:
        insert_job(connection, "one", queued_at=100.0)
    yield engines
    engines.close()


def begin_once(engines: Engines, ticket: Ticket = TICKET, now: float = 101.0) -> JobRecord | None:
    with engines.write() as connection:
        return begin(connection, ticket, POLICY, now)


def read_one(engines: Engines) -> JobRecord:
    with engines.read() as connection:
        return read_jobs(connection, job.c.id == "one")[0]


def test_beginning_counts_the_attempt(engines: Engines) -> None:
    """The attempt is counted before it runs, so that one which kills its worker is counted too."""
    record = begin_once(engines)
    assert record is not None
    assert (record.state, record.tries, record.started_at) == (JobState.RUNNING, 1, 101.0)


def test_result_is_recorded_whole(engines: Engines) -> None:
    """Outputs, their inputs and the findings come back as they were given."""
    begin_once(engines)
    with engines.write() as connection:
        assert record_result(connection, TICKET, RESULT, 102.0)
    record = read_one(engines)
    assert (record.state, record.finished_at) == (JobState.DONE, 102.0)
    assert (record.outputs, record.findings) == (RESULT.outputs, RESULT.findings)


def test_second_result_is_dropped(engines: Engines) -> None:
    """An attempt that was resumed although it had ended records nothing more."""
    begin_once(engines)
    with engines.write() as connection:
        assert record_result(connection, TICKET, RESULT, 102.0)
    assert begin_once(engines) is None
    with engines.write() as connection:
        assert not record_result(connection, TICKET, JobResult(), 103.0)
        assert not record_failure(connection, TICKET, JobError("late"), 103.0)
        assert queue_again(connection, TICKET, 103.0) is None
    assert read_one(engines).finished_at == 102.0
    assert len(read_one(engines).outputs) == 1


def test_old_ticket_is_worth_nothing(engines: Engines) -> None:
    """Once a job was queued again, what still holds the old ticket can neither run nor settle it."""
    begin_once(engines)
    with engines.write() as connection:
        fresh = queue_again(connection, TICKET, 100.0, error=JobError("a cause", hint="a remedy"))
    assert fresh is not None
    assert fresh.queued_at > TICKET.queued_at
    assert fresh.workflow_id != TICKET.workflow_id
    assert begin_once(engines) is None
    record = read_one(engines)
    assert (record.state, record.tries, record.error, record.hint) == (
        JobState.QUEUED,
        1,
        "a cause",
        "a remedy",
    )
    assert begin_once(engines, fresh) is not None
    with engines.write() as connection:
        assert not record_result(connection, TICKET, RESULT, 103.0)
        assert record_result(connection, fresh, RESULT, 104.0)
    assert read_one(engines).error == ""


def test_job_that_kills_its_worker_ends_as_failed(engines: Engines) -> None:
    """Attempts without an end are tried as often as others, then the job is failed with that reason."""
    assert [begin_once(engines) is not None for _ in range(5)] == [True, True, True, False, False]
    record = read_one(engines)
    assert (record.state, record.tries) == (JobState.FAILED, 3)
    assert "ended 3 times" in record.error
    assert record.hint


def test_refunded_attempt_does_not_count(engines: Engines) -> None:
    """A worker that was told to stop is no fault of the job."""
    begin_once(engines)
    with engines.write() as connection:
        queue_again(connection, TICKET, 102.0, refund=True)
    assert read_one(engines).tries == 0


def test_operator_begins_a_new_round(engines: Engines) -> None:
    """Only a failed job is restarted; its tries begin again."""
    begin_once(engines)
    with engines.write() as connection:
        assert queue_again(connection, TICKET, 102.0, restart=True) is None
        record_failure(connection, TICKET, JobError("bad input", hint="send it again"), 102.0)
    assert read_one(engines).error == "bad input"
    with engines.write() as connection:
        assert queue_again(connection, TICKET, 103.0, restart=True) is not None
    record = read_one(engines)
    assert (record.state, record.tries, record.error, record.finished_at) == (JobState.QUEUED, 0, "", None)
    assert job_round(engines, "one") == 2


def test_path_of_another_job_is_refused(engines: Engines) -> None:
    """Two jobs cannot claim one file, and the second leaves no trace of a result."""
    with engines.write() as connection:
        insert_job(connection, "two", queued_at=100.0)
    for job_id in ("one", "two"):
        begin_once(engines, Ticket(job_id=job_id, queued_at=100.0))
    with engines.write() as connection:
        record_result(connection, TICKET, RESULT, 102.0)
    with pytest.raises(JobError, match="another job"), engines.write() as connection:
        record_result(connection, Ticket(job_id="two", queued_at=100.0), RESULT, 102.0)
    with engines.read() as connection:
        (second,) = read_jobs(connection, job.c.id == "two")
    assert (second.state, second.outputs) == (JobState.RUNNING, ())


def test_unknown_input_is_refused(engines: Engines) -> None:
    """An output that names an instance nobody has is a defect, not a result."""
    begin_once(engines)
    outputs = (OutputRecord(path="a", kind="nifti", sha256="", size_bytes=0, inputs=(("9.9", "2.25.1"),)),)
    with pytest.raises(JobError, match="1 inputs"), engines.write() as connection:
        record_result(connection, TICKET, JobResult(outputs=outputs), 102.0)


def test_open_tickets_are_those_of_queued_and_running_jobs(engines: Engines) -> None:
    """What is done or failed needs no queue."""
    with engines.write() as connection:
        insert_job(connection, "two", queued_at=100.0)
        assert {ticket.job_id for ticket in open_tickets(connection)} == {"one", "two"}
        begin(connection, TICKET, POLICY, 101.0)
        assert {ticket.job_id for ticket in open_tickets(connection)} == {"one", "two"}
        record_result(connection, TICKET, RESULT, 102.0)
        assert {ticket.job_id for ticket in open_tickets(connection)} == {"two"}


def test_ticket_of_unknown_job(engines: Engines) -> None:
    """A job that is not there cannot be queued."""
    with pytest.raises(IndexStateError), engines.read() as connection:
        read_ticket(connection, "none")


def test_pause_doubles_up_to_the_most() -> None:
    """5, 10, 20, 40 s, then never more than the most given."""
    assert [POLICY.pause_s(tries) for tries in range(1, 7)] == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_unexpected_error_says_type_and_place_only() -> None:
    """A foreign exception's text may hold a patient's name."""
    values: dict[str, str] = {}
    with pytest.raises(KeyError) as caught:
        _ = values["CANARY^PATIENT"]
    found = JobError.unexpected(caught.value)
    assert "KeyError at db.test_job_states:" in str(found)
    assert "CANARY" not in str(found)
    assert found.retryable
