"""The index on real SQLite: one row decides, what was acknowledged stays, and only what is named is retrieved."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from db.engine import Engines, open_engines
from db.errors import MalformedDatasetError, QueryError
from db.folding import fold
from db.index import Index
from db.records import AssociationOutcome, Level, Registration, StoredInstance
from db.registration import register_instance
from db.schema import association, conflict, instance, metadata, patient, series, study
from db.store import Store
from tests.db.registering_process import content_of
from tests.factories import UID_ROOT, instance_record, new_index, sop_instance_uid, stored_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Table

ROOT = Path(__file__).parents[2]
NEVER = 1e18


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    with new_index(tmp_path) as engines:
        yield engines


@pytest.fixture
def index(engines: Engines) -> Index:
    return Index(engines)


def register(
    index: Index,
    number: int = 1,
    content: bytes = b"a",
    *,
    at: float = 10.0,
    by: int | None = None,
    **changes: Any,
) -> Registration:
    record = instance_record(**({"sop_instance_uid": sop_instance_uid(number)} | changes))
    return index.register(record, stored_file(content), association_id=by, at=at)


def rows(engines: Engines, table: Table) -> list[dict[str, Any]]:
    with engines.read() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


def everything(engines: Engines) -> dict[str, list[dict[str, Any]]]:
    return {table.name: rows(engines, table) for table in metadata.sorted_tables}


# One row decides


def test_a_new_instance_is_listed(index: Index) -> None:
    """What was registered is found by its UID, with the file and the UIDs above it."""
    assert register(index) is Registration.NEW
    record = instance_record()
    assert index.stored(record.sop_instance_uid) == StoredInstance(
        instance_id=1,
        sop_instance_uid=record.sop_instance_uid,
        sop_class_uid=record.sop_class_uid,
        transfer_syntax_uid=record.transfer_syntax_uid,
        file=stored_file(b"a"),
        study_instance_uid=record.study.study_instance_uid,
        series_instance_uid=record.series.series_instance_uid,
    )
    assert index.stored("1.2.3") is None


def test_the_header_is_in_the_rows(index: Index, engines: Engines) -> None:
    """Every field of the record, at every level, is in its column; names also folded."""
    record = instance_record(number_of_frames=3, expected_count=7, issuer_of_patient_id="HERE")
    index.register(record, stored_file(), association_id=None, at=10.0)
    (patients,), (studies,) = rows(engines, patient), rows(engines, study)
    (all_series,), (instances,) = rows(engines, series), rows(engines, instance)
    for values, row in (
        (record.patient, patients),
        (record.study, studies),
        (record.series, all_series),
        (record, instances),
    ):
        fields = {name: getattr(values, name) for name in values.__slots__}
        for name in fields.keys() - {"patient", "study", "series"}:
            expected = list(fields[name]) if isinstance(fields[name], tuple) else fields[name]
            assert row[name] == expected, name
    assert patients["patient_name_folded"] == fold(record.patient.patient_name) == "zaunkonig^ortwin"
    assert studies["referring_physician_name_folded"] == "haher^ina"
    assert instances["received_at"] == all_series["last_arrival_at"] == all_series["look_at"] == 10.0


def test_the_same_again_changes_nothing(index: Index, engines: Engines) -> None:
    """A re-sent instance is acknowledged again, and no row anywhere is another one."""
    register(index)
    before = everything(engines)
    assert register(index, at=99.0) is Registration.SAME
    assert everything(engines) == before


@pytest.mark.parametrize(
    ("content", "changes"),
    [(b"b", {}), (b"a", {"transfer_syntax_uid": "1.2.840.10008.1.2"}), (b"b", {"rows": 1})],
)
def test_other_bytes_are_a_conflict(
    index: Index, engines: Engines, content: bytes, changes: dict[str, Any]
) -> None:
    """Other bytes, or the same in another transfer syntax, leave the first alone and are recorded."""
    register(index)
    before = index.stored(sop_instance_uid(1))
    sender = index.open_association("LIAR", "DARKROOM", "127.0.0.1", 20.0)
    assert register(index, content=content, at=30.0, by=sender, **changes) is Registration.CONFLICT
    assert index.stored(sop_instance_uid(1)) == before
    (row,) = rows(engines, conflict)
    assert row["instance_fk"] == 1
    assert row["dataset_sha256"] == stored_file(content).dataset_sha256
    assert row["association_fk"] == sender
    assert row["refused_at"] == 30.0
    (only,) = rows(engines, series)
    assert (only["instance_count"], only["conflict_count"], only["last_arrival_at"]) == (1, 1, 10.0)


def test_a_conflict_counts_for_the_series_that_has_the_instance(index: Index, engines: Engines) -> None:
    """The refused data set may claim any series; none is made for it."""
    register(index)
    register(index, content=b"b", series_instance_uid="1.9", study_instance_uid="1.8", patient_id="OTHER")
    assert [row["conflict_count"] for row in rows(engines, series)] == [1]
    assert len(rows(engines, patient)) == 1


def test_exactly_one_is_new(tmp_path: Path, engines: Engines) -> None:
    """Three processes of four threads offer the same UIDs with several contents: one NEW each, its file intact."""
    store = Store(tmp_path)
    store.prepare()
    command = [sys.executable, "-m", "tests.db.registering_process", str(tmp_path), "against others", "3"]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [
        line.split() for process in processes for line in process.communicate(timeout=120)[0].splitlines()
    ]
    assert [process.returncode for process in processes] == [0, 0, 0]
    said: dict[str, Counter[str]] = defaultdict(Counter)
    digests: dict[tuple[str, str], set[str]] = defaultdict(set)
    for uid, registration, sha256 in answers:
        said[uid][registration] += 1
        digests[uid, registration].add(sha256)
    assert set(said) == {sop_instance_uid(number) for number in range(10)}
    for uid, counts in said.items():
        assert counts["new"] == 1
        kept = Index(engines).stored(uid)
        assert kept is not None
        store.check(kept)
        assert digests[uid, "new"] == digests[uid, "same"] == {kept.file.dataset_sha256}
        assert kept.file.dataset_sha256 not in digests[uid, "conflict"]
    assert len(list(store.keys())) == 10
    conflicts = sum(counts["conflict"] for counts in said.values())
    assert len(rows(engines, conflict)) == rows(engines, series)[0]["conflict_count"] == conflicts
    assert rows(engines, series)[0]["instance_count"] == 10


@pytest.mark.parametrize("changes", [{"rows": 2**70}, {"patient_name": "CANARY\ud800"}])
def test_what_cannot_be_indexed_is_refused(index: Index, engines: Engines, changes: dict[str, Any]) -> None:
    """A number too large or half a character: an error of the data set that tells no value, and no row stays."""
    with pytest.raises(MalformedDatasetError) as caught:
        register(index, **changes)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None
    assert not any(everything(engines).values())
    assert register(index) is Registration.NEW


# Patients, studies, series


def test_one_series_gathers_its_instances(index: Index, engines: Engines) -> None:
    """Instances of one series share the rows above them, and the series counts them."""
    for number in range(1, 6):
        register(index, number, at=float(number))
    assert [len(rows(engines, table)) for table in (patient, study, series, instance)] == [1, 1, 1, 5]
    (only,) = rows(engines, series)
    assert (only["instance_count"], only["last_arrival_at"], only["look_at"]) == (5, 5.0, 5.0)


def test_patients_with_one_study_uid_do_not_merge(index: Index, engines: Engines) -> None:
    """A reused Study and Series Instance UID never shows one patient's images under the other's name."""
    register(index, 1, patient_id="A")
    register(index, 2, patient_id="B")
    register(index, 3, patient_id="A", issuer_of_patient_id="ELSEWHERE")
    assert [len(rows(engines, table)) for table in (patient, study, series)] == [3, 3, 3]


def test_the_nameless_do_not_merge(index: Index, engines: Engines) -> None:
    """Without an ID, name and birth date tell patients apart; without those, the study."""
    nobody = {"patient_id": "", "patient_name": "", "patient_birth_date": ""}
    register(index, 1, **(nobody | {"patient_name": "A"}))
    register(index, 2, **(nobody | {"patient_name": "B"}))
    register(index, 3, **nobody)
    register(index, 4, **nobody, study_instance_uid="1.9")
    register(index, 5, **nobody)
    assert len(rows(engines, patient)) == 4


def test_the_first_header_stays(index: Index, engines: Engines) -> None:
    """A later instance with another description does not rename what is listed."""
    register(index, 1, study_description="First", patient_name="First")
    register(index, 2, study_description="Second", patient_name="Second")
    assert [row["study_description"] for row in rows(engines, study)] == ["First"]
    assert [row["patient_name"] for row in rows(engines, patient)] == ["First"]


# Associations


def test_an_association_is_noted(index: Index, engines: Engines) -> None:
    """Who called whom from where and when, and how it ended."""
    first = index.open_association("CT1", "DARKROOM", "127.0.0.1", 1.0)
    second = index.open_association("CT1", "DARKROOM", "127.0.0.1", 2.0)
    index.close_association(second, AssociationOutcome.ABORTED, 3.0)
    assert rows(engines, association) == [
        {
            "id": first,
            "calling_ae_title": "CT1",
            "called_ae_title": "DARKROOM",
            "address": "127.0.0.1",
            "opened_at": 1.0,
            "closed_at": None,
            "outcome": None,
        },
        {
            "id": second,
            "calling_ae_title": "CT1",
            "called_ae_title": "DARKROOM",
            "address": "127.0.0.1",
            "opened_at": 2.0,
            "closed_at": 3.0,
            "outcome": "aborted",
        },
    ]


def test_the_first_end_counts(index: Index, engines: Engines) -> None:
    """A connection that breaks after its release was released."""
    sender = index.open_association("CT1", "DARKROOM", "127.0.0.1", 1.0)
    index.close_association(sender, AssociationOutcome.RELEASED, 3.0)
    index.close_association(sender, AssociationOutcome.LOST, 4.0)
    assert [(row["closed_at"], row["outcome"]) for row in rows(engines, association)] == [(3.0, "released")]


def test_the_end_makes_its_series_due(index: Index, engines: Engines) -> None:
    """The intake looks again at what the association sent to, and only at that, if it is still receiving."""
    first = index.open_association("CT1", "DARKROOM", "127.0.0.1", 1.0)
    second = index.open_association("CT2", "DARKROOM", "127.0.0.1", 1.0)
    register(index, 1, by=first)
    register(index, 2, by=second, series_instance_uid="1.2")
    register(index, 3, by=first, series_instance_uid="1.3")
    with engines.write() as connection:
        connection.execute(series.update().values(look_at=NEVER))
        connection.execute(series.update().where(series.c.id == 3).values(state="complete", look_at=None))
    index.close_association(first, AssociationOutcome.RELEASED, 50.0)
    assert [row["look_at"] for row in rows(engines, series)] == [50.0, NEVER, None]
    assert [row["change_count"] for row in rows(engines, series)] == [2, 1, 1]


def test_what_was_open_when_the_node_died_is_lost(index: Index, engines: Engines) -> None:
    """At the start no association is open any more, and their series are looked at."""
    released = index.open_association("CT1", "DARKROOM", "127.0.0.1", 1.0)
    index.close_association(released, AssociationOutcome.RELEASED, 2.0)
    register(index, by=index.open_association("CT1", "DARKROOM", "127.0.0.1", 3.0))
    index.lose_open_associations(60.0)
    ends = [(row["closed_at"], row["outcome"]) for row in rows(engines, association)]
    assert ends == [(2.0, "released"), (60.0, "lost")]
    assert [row["look_at"] for row in rows(engines, series)] == [60.0]


# Retrieval


@pytest.fixture
def archive(index: Index) -> Index:
    """Two patients; A has studies 1.1 (series 1.1.1 with 1, 2 and 1.1.2 with 3) and 1.2 (4); B has 2.1 (5)."""
    for number, patient_id, study_uid, series_uid in (
        (2, "A", "1.1", "1.1.1"),
        (1, "A", "1.1", "1.1.1"),
        (3, "A", "1.1", "1.1.2"),
        (4, "A", "1.2", "1.2.1"),
        (5, "B", "2.1", "2.1.1"),
    ):
        register(
            index,
            number,
            patient_id=patient_id,
            study_instance_uid=study_uid,
            series_instance_uid=series_uid,
            instance_number=number,
        )
    return index


@pytest.mark.parametrize(
    ("level", "uids", "expected"),
    [
        (Level.PATIENT, {"PatientID": ("A",)}, [1, 2, 3, 4]),
        (Level.PATIENT, {"PatientID": ("a",)}, []),
        (Level.PATIENT, {"PatientID": ("%",)}, []),
        (Level.STUDY, {"StudyInstanceUID": ("1.1",)}, [1, 2, 3]),
        (Level.STUDY, {"StudyInstanceUID": ("1.1", "2.1", "1.1", "9.9")}, [1, 2, 3, 5]),
        (Level.STUDY, {"PatientID": ("B",), "StudyInstanceUID": ("1.1",)}, []),
        (Level.SERIES, {"StudyInstanceUID": ("1.1",), "SeriesInstanceUID": ("1.1.1",)}, [1, 2]),
        (Level.SERIES, {"SeriesInstanceUID": ("1.1.2", "1.2.1")}, [3, 4]),
        (Level.SERIES, {"StudyInstanceUID": ("1.2",), "SeriesInstanceUID": ("1.1.1",)}, []),
        (Level.IMAGE, {"SOPInstanceUID": (sop_instance_uid(4), sop_instance_uid(1))}, [1, 4]),
        (Level.IMAGE, {"SOPInstanceUID": (sop_instance_uid(4),), "StudyInstanceUID": ("1.1",)}, []),
        (Level.STUDY, {"StudyInstanceUID": ()}, []),
        (Level.STUDY, {}, []),
        (Level.SERIES, {"StudyInstanceUID": ("1.1",)}, []),
        (Level.SERIES, {"StudyInstanceUID": (), "SeriesInstanceUID": ("1.1.1",)}, []),
    ],
)
def test_only_what_is_named_is_retrieved(
    archive: Index, level: Level, uids: Mapping[str, tuple[str, ...]], expected: list[int]
) -> None:
    """Each instance once, by exact keys, series by series in the order of instance numbers; nothing named, nothing got."""
    found = [found.sop_instance_uid for found in archive.instances(level, uids)]
    assert found == [sop_instance_uid(number) for number in expected]


def test_retrieved_instances_know_their_place(archive: Index) -> None:
    """The UIDs above are filled in, for the sub-operations and their failures."""
    (found,) = archive.instances(Level.STUDY, {"StudyInstanceUID": ("2.1",)})
    assert (found.study_instance_uid, found.series_instance_uid) == ("2.1", "2.1.1")


def test_another_key_is_refused(archive: Index) -> None:
    """A retrieval by anything but unique keys is an error, not everything."""
    with pytest.raises(QueryError):
        archive.instances(Level.STUDY, {"StudyInstanceUID": ("1.1",), "PatientName": ("A",)})


def test_more_uids_than_a_statement_takes(archive: Index, engines: Engines) -> None:
    """An Identifier may name tens of thousands of instances, and some builds of SQLite take only 32,766 values."""
    with engines.reader.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
    uids = tuple(f"{UID_ROOT}.9.{number}" for number in range(40_000))
    found = archive.instances(
        Level.IMAGE, {"SOPInstanceUID": (*uids, sop_instance_uid(5), sop_instance_uid(1))}
    )
    assert {instance.sop_instance_uid for instance in found} == {sop_instance_uid(1), sop_instance_uid(5)}


def test_all_instances_come_in_pages(index: Index, engines: Engines) -> None:
    """Each one once and in order, with nothing of the index held while one is worked on."""
    with engines.write() as connection:
        for number in range(1203):
            record = instance_record(sop_instance_uid=sop_instance_uid(number))
            register_instance(connection, record, stored_file(), association_id=None, at=1.0)
    found = index.all_instances()
    numbers = [next(found).instance_id]
    with engines.writer.connect() as connection:
        connection.connection.rollback()  # out of the transaction: a checkpoint is refused within one
        cursor = connection.connection.cursor()
        busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.close()
    assert busy == 0
    numbers += [instance.instance_id for instance in found]
    assert numbers == list(range(1, 1204))


# The promise


def test_what_was_acknowledged_survives_being_killed(tmp_path: Path, engines: Engines) -> None:
    """Killed at random moments, again and again: every answer given holds, and nothing is listed that is not there."""
    store = Store(tmp_path)
    store.prepare()
    acknowledged: list[str] = []
    moments = random.Random(5)
    for run in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.db.registering_process", str(tmp_path), "for ever", str(run)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(moments.randrange(1, 60))]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
        process.wait(timeout=30)
        process.stdout.close()
        whole = [line.split() for line in lines if line.endswith("\n")]
        assert all(said == "new" for _, said, _ in whole)
        acknowledged += [uid for uid, _, _ in whole]
    engines.close()
    reopened = open_engines(tmp_path)
    index = Index(reopened)
    assert len(acknowledged) == len(set(acknowledged)) >= 6
    for uid in acknowledged:
        kept = index.stored(uid)
        assert kept is not None
        assert store.read_dataset(kept) == content_of(uid)
    listed = list(index.all_instances())
    for kept in listed:
        store.check(kept)
    assert len(listed) - len(acknowledged) in range(7)  # at most one a run was kept but not yet acknowledged
    with reopened.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        counted = connection.execute(select(func.sum(series.c.instance_count))).scalar_one()
    assert counted == len(listed)
    reopened.close()
    store.prepare()
    assert not list((tmp_path / "drafts").iterdir())
