"""The engines on real SQLite: no update is lost, what is committed is flushed, errors tell no patient's data."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select, text

from db import engine
from db.engine import INDEX_NAME, Engines, migrate, open_engines
from db.errors import DbError, DiskFullError, IndexStateError, StoreError
from db.schema import patient, study
from tests.factories import new_index

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CANARY = "Zaunkönig^Örtwin"


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    with new_index(tmp_path) as engines:
        yield engines


def patients(engines: Engines) -> int:
    with engines.read() as connection:
        return connection.execute(select(func.count()).select_from(patient)).scalar_one()


def test_no_update_is_lost(tmp_path: Path, engines: Engines) -> None:
    """Three processes of three threads read, add one and write; every one of their additions is there."""
    with engines.write() as connection:
        connection.execute(text("CREATE TABLE counter (value INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))
    command = [sys.executable, "-m", "tests.db.counting_process", str(tmp_path), "3", "60"]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    with engines.read() as connection:
        assert connection.execute(text("SELECT value FROM counter")).scalar_one() == 3 * 3 * 60


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)],
)
def test_the_writer_is_durable(engines: Engines, pragma: str, value: str | int) -> None:
    """The write-ahead log is flushed at every commit, and a busy index is waited for."""
    with engines.write() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value


def test_what_raises_is_undone(engines: Engines) -> None:
    """Nothing of a block that raises stays, and the next one can write."""

    def insert_and_fail() -> None:
        with engines.write() as connection:
            connection.execute(insert(patient), {"identity_key": "a"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()
    assert patients(engines) == 0
    with engines.write() as connection:
        connection.execute(insert(patient), {"identity_key": "a"})
    assert patients(engines) == 1


def test_the_writer_holds_the_lock_from_its_first_moment(tmp_path: Path, engines: Engines) -> None:
    """A transaction that only read so far already keeps others from writing: nothing can come between."""
    other = sqlite3.connect(tmp_path / INDEX_NAME, timeout=0, isolation_level=None)
    with engines.write(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_reader_sees_one_state(engines: Engines) -> None:
    """What is committed meanwhile does not show until the block is left, and the writer does not wait for it."""
    with engines.read() as reading:
        before = reading.execute(select(func.count()).select_from(patient)).scalar_one()
        with engines.write() as writing:
            writing.execute(insert(patient), {"identity_key": "a"})
        assert reading.execute(select(func.count()).select_from(patient)).scalar_one() == before
    assert patients(engines) == before + 1


def test_a_reader_cannot_write(engines: Engines) -> None:
    """A write through the readers would not be IMMEDIATE, so it is refused."""
    with pytest.raises(IndexStateError), engines.read() as connection:
        connection.execute(insert(patient), {"identity_key": "a"})
    assert patients(engines) == 0


def test_rows_point_to_rows(engines: Engines) -> None:
    """A study of a patient who is not there is refused."""
    with pytest.raises(IndexStateError), engines.write() as connection:
        connection.execute(insert(study), {"patient_fk": 7, "study_instance_uid": "1.2"})


def test_errors_tell_no_values(engines: Engines) -> None:
    """A refused row's values are in no message, not even in that of the cause, which logs may print."""
    with engines.write() as connection:
        connection.execute(insert(patient), {"identity_key": CANARY})
    with pytest.raises(IndexStateError) as caught, engines.write() as connection:
        connection.execute(insert(patient), {"identity_key": CANARY, "patient_name": CANARY})
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_full_disk_is_told_as_one(engines: Engines) -> None:
    """SQLite's "full" becomes DiskFullError, the row is not there, and reading goes on."""
    with engines.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(DiskFullError) as caught, engines.write() as connection:
        connection.execute(insert(patient), {"identity_key": "a", "patient_name": "x" * 1_000_000})
    assert caught.value.hint
    assert patients(engines) == 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_FULL, DiskFullError),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreError),
        (sqlite3.SQLITE_IOERR_WRITE, StoreError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, IndexStateError),
        (sqlite3.SQLITE_CORRUPT, IndexStateError),
        (sqlite3.SQLITE_READONLY_DBMOVED, IndexStateError),
    ],
)
def test_sqlite_errors_become_ours(code: int, expected: type[DbError]) -> None:
    """Extended codes count by their kind, and each of these has a hint for the operator."""
    error = sqlite3.OperationalError("something")
    error.sqlite_errorcode = code
    mapped = engine._mapped(error)
    assert type(mapped) is expected
    assert mapped.hint


def test_an_index_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Opening says that there is none, with a hint, instead of showing an empty archive."""
    with pytest.raises(IndexStateError) as caught:
        open_engines(tmp_path)
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    """A file of another kind under the index's name is named as such, and left as it is."""
    path = tmp_path / INDEX_NAME
    path.write_bytes(b"not a database at all" * 100)
    for start in (open_engines, migrate):
        with pytest.raises(IndexStateError) as caught:
            start(tmp_path)
        assert caught.value.hint
    assert path.read_bytes() == b"not a database at all" * 100


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the place of the data folder is an error of the store with a hint."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        migrate(tmp_path / "file" / "data")
    assert caught.value.hint


def test_the_index_is_not_for_everybody(tmp_path: Path, engines: Engines) -> None:
    """Others cannot read the index or its log, where patients' names are."""
    with engines.write() as connection:
        connection.execute(insert(patient), {"identity_key": "a"})
    files = list(tmp_path.glob(f"{INDEX_NAME}*"))
    assert len(files) == 3
    assert all(stat.S_IMODE(file.stat().st_mode) & 0o007 == 0 for file in files)
