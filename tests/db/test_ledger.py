"""The ledger on real SQLite: no event overlooked, no series closed without its jobs, every revision pinned."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from db.errors import IndexStateError
from db.index import Index
from db.ledger import Ledger, job_identity
from db.records import (
    AssociationOutcome,
    JobRequest,
    JobState,
    LedgerEntry,
    Registration,
    SeriesFacts,
    SeriesState,
)
from db.schema import job, revision, series
from tests.factories import UID_ROOT, instance_record, new_index, sop_instance_uid, stored_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from db.engine import Engines

NIFTI = JobRequest(route="everything", processor="nifti", parameters={"gzip": 6})
PNG = JobRequest(route="everything", processor="png")


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    with new_index(tmp_path) as engines:
        yield engines


@pytest.fixture
def index(engines: Engines) -> Index:
    return Index(engines)


@pytest.fixture
def ledger(engines: Engines) -> Ledger:
    return Ledger(engines)


def register(
    index: Index, number: int = 1, *, at: float = 10.0, by: int | None = None, **changes: Any
) -> None:
    record = instance_record(**({"sop_instance_uid": sop_instance_uid(number)} | changes))
    assert index.register(record, stored_file(), association_id=by, at=at) is Registration.NEW


def call(index: Index) -> int:
    return index.open_association("CT1", "DARKROOM", "127.0.0.1", 1.0)


def ignore(_connection: Connection, _job_id: str) -> None:
    pass


def close(ledger: Ledger, facts: SeriesFacts, **changes: Any) -> int | None:
    options: dict[str, Any] = {
        "state": SeriesState.COMPLETE,
        "reasons": ("all 1 counted",),
        "at": 100.0,
        "instance_count": facts.instance_count,
        "jobs": (),
        "enqueue": ignore,
    }
    return ledger.close(facts.series_id, **(options | changes))


def state_of(engines: Engines, series_id: int = 1) -> tuple[str, int, float | None]:
    columns = select(series.c.state, series.c.revision, series.c.look_at).where(series.c.id == series_id)
    with engines.read() as connection:
        return tuple(connection.execute(columns).one())


# What is due, and what is known of it


def test_what_arrived_is_due_at_once(index: Index, ledger: Ledger) -> None:
    """A series is due from the moment of its last arrival, the longest due first, and not before."""
    for number, at in ((1, 30.0), (2, 10.0), (3, 20.0)):
        register(index, number, at=at, series_instance_uid=f"1.{number}")
    assert [facts.series_instance_uid for facts in ledger.due(30.0, 10)] == ["1.2", "1.3", "1.1"]
    assert [facts.series_instance_uid for facts in ledger.due(29.9, 10)] == ["1.2", "1.3"]
    assert [facts.series_instance_uid for facts in ledger.due(30.0, 1)] == ["1.2"]
    assert ledger.due(9.9, 10) == []


def test_the_facts_of_a_series(index: Index, ledger: Ledger) -> None:
    """Counts, the largest expectation, geometry of every instance as tuples, arrival and release."""
    sender = call(index)
    register(index, 1, at=10.0, by=sender, expected_count=3)
    register(index, 2, at=11.0, by=sender, expected_count=5, position_lps=(0.5, 1.0, 2.0))
    register(index, 3, at=12.0, by=sender, position_lps=None, orientation_lps=None)
    index.close_association(sender, AssociationOutcome.RELEASED, 13.0)
    (facts,) = ledger.due(50.0, 10)
    assert facts == ledger.facts(facts.series_id)
    assert (facts.series_instance_uid, facts.modality) == (f"{UID_ROOT}.1001", "CT")
    assert (facts.instance_count, facts.expected_count) == (3, 5)
    assert (facts.open_associations, facts.broken_associations) == (0, 0)
    assert (facts.last_arrival_at, facts.last_release_at) == (12.0, 13.0)
    assert [geometry.sop_instance_uid for geometry in facts.geometry] == [
        sop_instance_uid(n) for n in (1, 2, 3)
    ]
    assert facts.geometry[1].position_lps == (0.5, 1.0, 2.0)
    assert facts.geometry[1].orientation_lps == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert facts.geometry[2].position_lps is None
    assert facts.geometry[2].orientation_lps is None


def test_nothing_known_is_none(index: Index, ledger: Ledger) -> None:
    """Without expectation and association there are none, not zeros."""
    register(index)
    facts = ledger.facts(1)
    assert (facts.expected_count, facts.last_release_at, facts.open_associations) == (None, None, 0)


def test_associations_are_counted_by_their_end(index: Index, ledger: Ledger) -> None:
    """Open, released, aborted and lost ones; one that sent elsewhere or several times counts as it should."""
    senders = [call(index) for _ in range(5)]
    for number, sender in enumerate((*senders[:4], senders[0]), start=1):
        register(index, number, by=sender)
    register(index, 9, by=senders[4], series_instance_uid="1.9")
    index.close_association(senders[1], AssociationOutcome.RELEASED, 21.0)
    index.close_association(senders[2], AssociationOutcome.ABORTED, 23.0)
    index.close_association(senders[3], AssociationOutcome.LOST, 22.0)
    facts = ledger.facts(1)
    assert (facts.open_associations, facts.broken_associations, facts.last_release_at) == (1, 2, 23.0)


def test_only_associations_since_the_last_revision_count(index: Index, ledger: Ledger) -> None:
    """A broken association that revision 1 was judged on does not make revision 2 look broken."""
    broken = call(index)
    register(index, 1, by=broken, expected_count=1)
    index.close_association(broken, AssociationOutcome.ABORTED, 11.0)
    close(ledger, ledger.facts(1))
    register(index, 2, at=20.0, by=call(index))
    facts = ledger.facts(1)
    assert (facts.open_associations, facts.broken_associations, facts.last_release_at) == (1, 0, None)
    assert (facts.instance_count, facts.expected_count, len(facts.geometry)) == (2, 1, 2)


def test_no_such_series(ledger: Ledger) -> None:
    """A series that is not there is an error, everywhere."""
    with pytest.raises(IndexStateError):
        ledger.facts(7)
    with pytest.raises(IndexStateError):
        ledger.series_attributes(7)
    with pytest.raises(IndexStateError):
        ledger.revision_instances(7, 1)
    with pytest.raises(IndexStateError):
        ledger.close(
            7, state=SeriesState.COMPLETE, reasons=(), at=1.0, instance_count=0, jobs=(), enqueue=ignore
        )


# Postponing


def test_a_postponed_series_rests(index: Index, ledger: Ledger) -> None:
    """It is due again at the given moment and not before."""
    register(index)
    (facts,) = ledger.due(10.0, 10)
    ledger.postpone(facts.series_id, 60.0, change_count=facts.change_count)
    assert ledger.due(59.9, 10) == []
    assert len(ledger.due(60.0, 10)) == 1


def test_what_happens_meanwhile_is_not_slept_over(index: Index, ledger: Ledger) -> None:
    """If an image comes, or the association ends, between the look and the postponing, the series stays due."""
    sender = call(index)
    register(index, 1, by=sender)
    facts = ledger.facts(1)
    register(index, 2, by=sender)
    ledger.postpone(1, 60.0, change_count=facts.change_count)
    assert len(ledger.due(10.0, 10)) == 1
    facts = ledger.facts(1)
    index.close_association(sender, AssociationOutcome.RELEASED, 10.0)
    ledger.postpone(1, 60.0, change_count=facts.change_count)
    assert len(ledger.due(10.0, 10)) == 1


def test_a_closed_series_is_not_woken_by_postponing(index: Index, ledger: Ledger, engines: Engines) -> None:
    """An operator may close what the intake is just looking at."""
    register(index)
    facts = ledger.facts(1)
    close(ledger, facts)
    ledger.postpone(1, 60.0, change_count=facts.change_count)
    assert state_of(engines) == ("complete", 1, None)


# Closing


def test_a_closed_series_has_its_jobs(index: Index, ledger: Ledger, engines: Engines) -> None:
    """The state, the revision with its evidence, the jobs' rows and their queueing come together."""
    register(index, 1)
    register(index, 2)
    queued: list[str] = []

    def enqueue(connection: Connection, job_id: str) -> None:
        found = connection.execute(select(job.c.state).where(job.c.id == job_id)).scalar_one()
        queued.append(f"{job_id} {found}")

    number = close(ledger, ledger.facts(1), jobs=(NIFTI, PNG), enqueue=enqueue, reasons=("one", "two"))
    assert number == 1
    assert state_of(engines) == ("complete", 1, None)
    assert ledger.due(1e9, 10) == []
    assert queued == [f"{job_identity(1, 1, request)} queued" for request in (NIFTI, PNG)]
    with engines.read() as connection:
        row = connection.execute(select(revision)).mappings().one()
    assert (row["number"], row["state"], row["reasons"], row["closed_at"]) == (
        1,
        "complete",
        ["one", "two"],
        100.0,
    )
    assert (row["instance_count"], row["last_instance_id"]) == (2, 2)


def test_without_its_queue_nothing_is_closed(index: Index, ledger: Ledger, engines: Engines) -> None:
    """If the queue fails at the second job, the series is receiving and no job is there."""
    register(index)
    calls: list[str] = []

    def fail_at_the_second(_connection: Connection, job_id: str) -> None:
        calls.append(job_id)
        if len(calls) == 2:
            raise IndexStateError("the queue is broken")

    with pytest.raises(IndexStateError, match="broken"):
        close(ledger, ledger.facts(1), jobs=(NIFTI, PNG), enqueue=fail_at_the_second)
    assert state_of(engines) == ("receiving", 0, 10.0)
    with engines.read() as connection:
        assert connection.execute(select(job)).all() == connection.execute(select(revision)).all() == []


def test_a_series_that_grew_is_not_closed(index: Index, ledger: Ledger, engines: Engines) -> None:
    """What was judged is no longer what is there: nothing changes, and no job is queued."""
    register(index, 1)
    facts = ledger.facts(1)
    register(index, 2, at=20.0)
    assert close(ledger, facts, jobs=(NIFTI,), enqueue=fail) is None
    assert state_of(engines) == ("receiving", 0, 20.0)


def fail(_connection: Connection, _job_id: str) -> None:
    raise AssertionError("queued")


@pytest.mark.parametrize(
    ("first", "then", "number"),
    [
        (SeriesState.COMPLETE, SeriesState.COMPLETE, None),
        (SeriesState.COMPLETE, SeriesState.FORCED, None),
        (SeriesState.FORCED, SeriesState.FORCED, None),
        (SeriesState.INCOMPLETE, SeriesState.COMPLETE, None),
        (SeriesState.INCOMPLETE, SeriesState.FORCED, 2),
    ],
)
def test_closed_is_closed(
    index: Index, ledger: Ledger, first: SeriesState, then: SeriesState, number: int | None
) -> None:
    """Two that judge at once close once; only what was incomplete can still be forced."""
    register(index)
    facts = ledger.facts(1)
    assert close(ledger, facts, state=first) == 1
    assert close(ledger, facts, state=then) == number


def test_job_ids_never_change() -> None:
    """The id follows from series, revision, route and processor alone, so queueing twice is queueing once."""
    assert job_identity(1, 1, NIFTI) == job_identity(1, 1, JobRequest(route="everything", processor="nifti"))
    requests = [
        NIFTI,
        PNG,
        JobRequest(route="everything,nifti", processor=""),
        JobRequest(route="", processor="nifti"),
    ]
    ids = {job_identity(a, b, request) for a in (1, 2) for b in (1, 2) for request in requests}
    assert len(ids) == 16
    assert job_identity(1, 1, NIFTI) == "a9dc551e-6685-5720-b1d0-dc1110a5423e"


def test_a_job_asked_for_twice_is_an_error(index: Index, ledger: Ledger, engines: Engines) -> None:
    """Route and processor name a job of a revision; a second one would be the same."""
    register(index)
    with pytest.raises(IndexStateError):
        close(ledger, ledger.facts(1), jobs=(NIFTI, NIFTI))
    assert state_of(engines) == ("receiving", 0, 10.0)


# Late images


def test_a_late_image_makes_the_next_revision(index: Index, ledger: Ledger, engines: Engines) -> None:
    """It opens the series again at once; the next revision holds everything, and the first what it held."""
    register(index, 1)
    register(index, 2)
    close(ledger, ledger.facts(1))
    register(index, 3, at=200.0)
    assert state_of(engines) == ("receiving", 1, 200.0)
    assert close(ledger, ledger.facts(1), jobs=(NIFTI,)) == 2
    assert [i.sop_instance_uid for i in ledger.revision_instances(1, 1)] == [
        sop_instance_uid(n) for n in (1, 2)
    ]
    assert [i.sop_instance_uid for i in ledger.revision_instances(1, 2)] == [
        sop_instance_uid(n) for n in (1, 2, 3)
    ]
    with pytest.raises(IndexStateError):
        ledger.revision_instances(1, 3)


def test_revisions_hold_their_own_series_only(index: Index, ledger: Ledger) -> None:
    """Instances of other series that came in between are in none of its revisions."""
    register(index, 1)
    register(index, 2, series_instance_uid="1.2")
    register(index, 3)
    close(ledger, ledger.facts(1))
    assert [i.sop_instance_uid for i in ledger.revision_instances(1, 1)] == [
        sop_instance_uid(n) for n in (1, 3)
    ]


def test_arrivals_and_closing_at_once(index: Index, ledger: Ledger) -> None:
    """While two threads send, a third closes as often as it can: each image is in the last revision, each count true."""

    def send(numbers: range) -> None:
        for number in numbers:
            register(index, number, at=1.0)

    senders = [threading.Thread(target=send, args=(range(start, start + 60),)) for start in (0, 60)]
    for sender in senders:
        sender.start()
    last = 0
    while any(sender.is_alive() for sender in senders) or ledger.due(1.0, 1):
        for facts in ledger.due(1.0, 1):
            last = close(ledger, facts) or last
    for sender in senders:
        sender.join()
    counts = [len(ledger.revision_instances(1, number)) for number in range(1, last + 1)]
    assert counts == sorted(set(counts))
    assert counts[-1] == 120
    (entry,) = ledger.entries()
    assert (entry.state, entry.revision, entry.instance_count) == (SeriesState.COMPLETE, last, 120)


# The lines


def test_the_lines_of_the_ledger(index: Index, ledger: Ledger) -> None:
    """Each series once, the latest arrival first, with the evidence of its last revision and its jobs."""
    register(index, 1, at=10.0)
    register(index, 2, at=20.0, series_instance_uid="1.2", modality="MR")
    close(
        ledger,
        ledger.facts(1),
        state=SeriesState.INCOMPLETE,
        reasons=("slice 7 is missing",),
        jobs=(NIFTI, PNG),
    )
    latest, first = ledger.entries()
    assert latest == LedgerEntry(
        series_id=2,
        series_instance_uid="1.2",
        study_instance_uid=f"{UID_ROOT}.1000",
        modality="MR",
        state=SeriesState.RECEIVING,
        revision=0,
        instance_count=1,
        conflict_count=0,
        reasons=(),
        last_arrival_at=20.0,
    )
    assert (first.state, first.revision, first.reasons) == (
        SeriesState.INCOMPLETE,
        1,
        ("slice 7 is missing",),
    )
    assert [(record.processor, record.state) for record in first.jobs] == [
        ("nifti", JobState.QUEUED),
        ("png", JobState.QUEUED),
    ]
    assert ledger.entries("1.2") == [latest]
    assert ledger.entries("1.3") == []


def test_the_evidence_is_of_the_last_revision(index: Index, ledger: Ledger) -> None:
    """A second revision's reasons replace the first's, and each series shows its own."""
    register(index, 1)
    close(ledger, ledger.facts(1), reasons=("first",))
    register(index, 2)
    close(ledger, ledger.facts(1), reasons=("second",))
    (entry,) = ledger.entries()
    assert (entry.revision, entry.reasons) == (2, ("second",))


def test_what_routes_may_ask(index: Index, ledger: Ledger) -> None:
    """Keywords of patient, study and series with their values as text; what is absent is empty."""
    register(index, issuer_of_patient_id="HERE", series_number=None)
    register(index, 2, series_instance_uid="1.2", series_number=12)
    attributes = ledger.series_attributes(1)
    record = instance_record()
    assert attributes["PatientID"] == record.patient.patient_id
    assert attributes["IssuerOfPatientID"] == "HERE"
    assert attributes["PatientName"] == record.patient.patient_name
    assert attributes["StudyDescription"] == record.study.study_description
    assert attributes["ReferringPhysicianName"] == record.study.referring_physician_name
    assert attributes["Modality"] == "CT"
    assert attributes["SeriesInstanceUID"] == record.series.series_instance_uid
    assert attributes["SeriesNumber"] == ""
    assert ledger.series_attributes(2)["SeriesNumber"] == "12"
    assert len(attributes) == 22
