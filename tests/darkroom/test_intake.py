"""The intake: closes what is complete, waits for the rest, and never twice."""

from __future__ import annotations

import time

import pytest

from config.settings import Completion, Route, Settings, Storage
from darkroom.archive import make_archive, open_archive
from darkroom.intake import Intake, IntakeThread, completion_rule
from darkroom.routes import read_routes
from db.errors import DiskFullError, IndexStateError
from db.ledger import Ledger
from db.records import AssociationOutcome, SeriesState
from tests.factories import instance_record, stored_file

ARRIVAL = 1000.0
RULE = completion_rule(Completion(release_wait_s=5.0, quiet_s=60.0, incomplete_after_s=300.0))


@pytest.fixture
def archive(tmp_path):
    settings = Settings(storage=Storage(folder=tmp_path / "data"))
    make_archive(settings)
    with open_archive(settings) as opened:
        yield opened


@pytest.fixture
def intake(archive):
    router = read_routes([Route(name="all", processors=("nifti", "png"))])
    return Intake(ledger=archive.ledger, queue=archive.queue, router=router, rule=RULE)


def receive(archive, at=ARRIVAL, *, release=True):
    association = archive.index.open_association("CT1", "DARKROOM", "127.0.0.1", at)
    archive.index.register(instance_record(), stored_file(), association_id=association, at=at)
    if release:
        archive.index.close_association(association, AssociationOutcome.RELEASED, at)


def test_closes_once_with_its_jobs(archive, intake):
    """After the release wait the series is closed with a job for each processor; a second look changes nothing."""
    receive(archive)
    assert intake.look(ARRIVAL + 1) == 0
    assert intake.look(ARRIVAL + 6) == 1
    assert intake.look(ARRIVAL + 600) == 0
    (entry,) = archive.ledger.entries()
    assert (entry.state, entry.revision) == (SeriesState.COMPLETE, 1)
    assert sorted(job.processor for job in entry.jobs) == ["nifti", "png"]


def test_open_association_is_waited_for(archive, intake):
    """While the sender's association is open the series stays open, until nothing came for quiet_s."""
    receive(archive, release=False)
    assert intake.look(ARRIVAL + 50) == 0
    assert intake.look(ARRIVAL + 61) == 1


def test_postponed_series_is_seen_again_when_something_happens(archive, intake):
    """A look puts the series off; the end of its association brings it back before that moment."""
    receive(archive, release=False)
    intake.look(ARRIVAL + 1)
    assert archive.ledger.due(ARRIVAL + 2, 10) == []
    archive.index.close_association(1, AssociationOutcome.RELEASED, ARRIVAL + 2)
    assert len(archive.ledger.due(ARRIVAL + 2, 10)) == 1


def test_what_one_look_leaves_the_next_one_takes(archive, intake, monkeypatch):
    """A look judges no more series than it may; those that were due with them come next."""
    monkeypatch.setattr("darkroom.intake.SERIES_A_LOOK", 2)
    for number in range(3):
        association = archive.index.open_association("CT1", "DARKROOM", "127.0.0.1", ARRIVAL)
        record = instance_record(series_instance_uid=f"1.2.{number}", sop_instance_uid=f"1.2.{number}.1")
        file = stored_file(record.sop_instance_uid.encode())
        archive.index.register(record, file, association_id=association, at=ARRIVAL)
        archive.index.close_association(association, AssociationOutcome.RELEASED, ARRIVAL)
    assert [intake.look(ARRIVAL + 600) for _ in range(3)] == [2, 1, 0]


def test_thread_looks_until_it_is_stopped(intake):
    """The thread looks by itself, shows that it lives, and ends when told to."""
    thread = IntakeThread(intake, look_every_s=0.01)
    thread.start()
    assert thread.silent_s() < 60
    thread.stop()


def test_a_look_that_fails_is_not_the_last(archive, intake, monkeypatch):
    """A full disk fails one look; the thread lives, and a later look closes the series."""
    receive(archive, at=time.time() - 3600)
    failures = [DiskFullError("the index could not be written"), IndexStateError("the index is locked")]
    close = Ledger.close

    def close_or_fail(*args, **keywords):
        if failures:
            raise failures.pop()
        return close(*args, **keywords)

    monkeypatch.setattr(Ledger, "close", close_or_fail)
    thread = IntakeThread(intake, look_every_s=0.01)
    thread.start()
    deadline = time.monotonic() + 30
    while archive.ledger.entries()[0].state is SeriesState.RECEIVING and time.monotonic() < deadline:
        time.sleep(0.01)
    thread.stop()
    assert archive.ledger.entries()[0].state is SeriesState.COMPLETE
    assert not failures


class SlowIntake:
    """Takes its time, and remembers when it began and ended."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def look(self, _: float) -> int:
        self.moments.append(time.monotonic())
        time.sleep(0.05)
        self.moments.append(time.monotonic())
        return 0


def test_costly_looks_come_less_often():
    """While large series arrive, most of the time belongs to the receiving and not to looking at them."""
    slow = SlowIntake()
    thread = IntakeThread(slow, look_every_s=0.001)
    thread.start()
    deadline = time.monotonic() + 30
    while len(slow.moments) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    thread.stop()
    began, ended, again = slow.moments[:3]
    assert again - ended > 5 * (ended - began)
