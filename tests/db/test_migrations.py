"""Migrations: the same tables as db.schema, nothing lost on the way, and nothing said."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from db import engine, migrations
from db.engine import INDEX_NAME, migrate, open_engines
from db.errors import IndexStateError
from db.migrations.upgrade import make_configuration
from db.schema import metadata, patient, study
from tests.factories import new_index

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

ROOT = Path(__file__).parents[2]


def described(source: Engine | Connection) -> dict[str, dict[str, Any]]:
    """Everything SQLite tells of the tables, in an order that does not matter."""
    inspector = sa.inspect(source)
    tables = [name for name in inspector.get_table_names() if name in metadata.tables]
    return {
        name: {
            "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
            "primary key": inspector.get_pk_constraint(name),
            "foreign keys": by_name(inspector.get_foreign_keys(name)),
            "unique": by_name(inspector.get_unique_constraints(name)),
            "checks": by_name(inspector.get_check_constraints(name)),
            "indexes": by_name(inspector.get_indexes(name)),
        }
        for name in tables
    }


def by_name(values: list[Any]) -> list[Any]:
    return sorted(values, key=lambda value: value["name"])


def test_the_migrations_make_what_the_schema_says(tmp_path: Path) -> None:
    """From nothing to the newest revision gives column for column and constraint for constraint db.schema."""
    made = sa.create_engine("sqlite://")
    metadata.create_all(made)
    with new_index(tmp_path) as engines, engines.read() as connection:
        found = described(connection)
    assert found == described(made)
    assert set(found) == set(metadata.tables)
    made.dispose()


def test_alembic_finds_nothing_left_to_do(tmp_path: Path) -> None:
    """Alembic's own comparison agrees, and does not want to drop the tables of the job engine."""
    with new_index(tmp_path) as engines, engines.write() as connection:
        connection.exec_driver_sql("CREATE TABLE workflow_status (workflow_uuid TEXT PRIMARY KEY)")
        command.check(make_configuration(connection))


def test_the_list_of_revisions_is_the_scripts(tmp_path: Path) -> None:
    """The revisions that are known without alembic are those on disk, in their order."""
    with new_index(tmp_path) as engines, engines.read() as connection:
        scripts = ScriptDirectory.from_config(make_configuration(connection))
        assert migrations.read_revision(connection) == migrations.REVISIONS[-1]
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(revisions)) == migrations.REVISIONS


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    """Each start migrates; what is there stays."""
    with new_index(tmp_path) as engines:
        with engines.write() as connection:
            connection.execute(sa.insert(patient), {"identity_key": "a"})
        migrate(tmp_path)
        with engines.read() as connection:
            assert connection.execute(sa.select(patient.c.identity_key)).scalars().all() == ["a"]


def test_many_may_start_at_once(tmp_path: Path) -> None:
    """Of several that migrate one empty folder, one does the work and the others find it done."""
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(migrate, tmp_path) for _ in range(4)]:
            future.result()
    open_engines(tmp_path).close()


@pytest.mark.parametrize("start", [migrate, open_engines])
def test_a_newer_schema_is_refused(tmp_path: Path, start: Any) -> None:
    """An index from a later version is left alone, and the operator is told what to do."""
    with new_index(tmp_path) as engines, engines.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(IndexStateError, match="newer") as caught:
        start(tmp_path)
    assert caught.value.hint


def test_an_older_schema_is_not_worked_on(tmp_path: Path) -> None:
    """A command that does not migrate says that the node has to, instead of failing somewhere later."""
    (tmp_path / INDEX_NAME).touch()
    with pytest.raises(IndexStateError, match="schema none") as caught:
        open_engines(tmp_path)
    assert "start the node" in caught.value.hint


def test_a_failed_migration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a migration or nothing: tables made before the fault are gone."""

    def fail(_connection: Connection) -> None:
        raise IndexStateError("no")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_check_foreign_keys", fail)
        with pytest.raises(IndexStateError):
            migrate(tmp_path)
    with engine._migration_connection(tmp_path) as connection:
        assert sa.inspect(connection).get_table_names() == []


def remake_patients(connection: Connection) -> None:
    """What alembic does for most changes on SQLite: make the table anew and drop the old one."""
    operations = Operations(MigrationContext.configure(connection))
    with operations.batch_alter_table("patient", recreate="always") as batch:
        batch.add_column(sa.Column("species", sa.String(), server_default=""))


@pytest.fixture
def with_study(tmp_path: Path) -> Path:
    with new_index(tmp_path) as engines, engines.write() as connection:
        connection.execute(sa.insert(patient), {"id": 1, "identity_key": "a"})
        connection.execute(sa.insert(study), {"patient_fk": 1, "study_instance_uid": "1.2"})
    return tmp_path


def test_children_survive_when_their_parent_is_made_anew(with_study: Path) -> None:
    """A study is still there, still its patient's, and still guarded after the patients' table was remade."""
    with engine._migration_connection(with_study) as connection:
        remake_patients(connection)
        engine._check_foreign_keys(connection)
    engines = open_engines(with_study)
    with engines.read() as connection:
        assert "species" in {column["name"] for column in sa.inspect(connection).get_columns("patient")}
        assert connection.execute(sa.select(study.c.patient_fk)).scalars().all() == [1]
    with pytest.raises(IndexStateError), engines.write() as connection:
        connection.execute(sa.insert(study), {"patient_fk": 7, "study_instance_uid": "1.3"})
    engines.close()


def test_with_foreign_keys_on_it_would_not_work(with_study: Path) -> None:
    """The same on the ordinary connection is refused: this is why migrations have one of their own."""
    engines = open_engines(with_study)
    with pytest.raises(IndexStateError), engines.write() as connection:
        remake_patients(connection)
    engines.close()


def test_a_migration_that_loses_a_parent_is_undone(with_study: Path) -> None:
    """With the foreign keys off, a lost parent is found by the check, and the patient comes back."""

    def lose_patients() -> None:
        with engine._migration_connection(with_study) as connection:
            connection.execute(sa.delete(patient))
            engine._check_foreign_keys(connection)

    with pytest.raises(IndexStateError, match="study"):
        lose_patients()
    engines = open_engines(with_study)
    with engines.read() as connection:
        assert connection.execute(sa.select(patient.c.id)).scalars().all() == [1]
    engines.close()


def test_not_a_word(tmp_path: Path) -> None:
    """Migrating prints nothing, logs nothing and warns of nothing, whatever the level."""
    program = (
        "import logging, sys, pathlib; logging.basicConfig(level=0);"
        "from db.engine import migrate; migrate(pathlib.Path(sys.argv[1]) / 'a%b c')"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
