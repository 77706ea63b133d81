"""How the index is opened: one SQLite file, an engine that writes and an engine that reads.

pysqlite's own transactions begin as readers and silently lose read-modify-write updates. Here pysqlite stays
in autocommit, and each transaction is begun by us: IMMEDIATE by the writer, DEFERRED by the readers.
The write-ahead log is flushed at every commit (synchronous=FULL): what `Engines.write` committed is durable.

Never fork a process that holds engines: SQLite's locks do not survive it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from db.errors import DbError, DiskFullError, IndexStateError, StoreError
from db.folder import FILE_MODE, flush_folder, make_folder
from db.migrations import REVISIONS, check_revision, read_revision

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

INDEX_NAME = "index.sqlite"

_BUSY_TIMEOUT_S = 30.0
_WAL_LIMIT_BYTES = 64 * 1024 * 1024
_MOST_READERS = 32

_ALWAYS = ("PRAGMA foreign_keys=ON",)
_FOR_WRITER = (
    *_ALWAYS,
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}",
)
_FOR_READER = (*_ALWAYS, "PRAGMA query_only=ON")
# Without foreign keys: SQLite changes a table by making it anew, and dropping the old one would delete its children.
_FOR_MIGRATION = (*_FOR_WRITER, "PRAGMA foreign_keys=OFF")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The two ways into the index.

    Attributes
    ----------
    writer
        One connection; transactions are IMMEDIATE, and threads wait for it in the order they came.
        A thread that asks for a second one while it holds the first waits for itself until the timeout.
    reader
        Many connections; transactions are DEFERRED, and writing is refused.
    """

    writer: Engine
    reader: Engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a transaction that is durable once the block is left, and undone if it raises.

        Raises
        ------
        DiskFullError
            If there is no space left for the index.
        StoreError
            If the device failed.
        IndexStateError
            If the index is locked, damaged, or refuses a value.
        """
        with _mapped_errors(), self.writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the index until the block is left.

        Leave the block before waiting for anybody: an open read keeps the write-ahead log from being reused.

        Raises
        ------
        StoreError, IndexStateError
            As `write` does.
        """
        with _mapped_errors(), self.reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.reader.dispose()
        self.writer.dispose()


def open_engines(folder: Path) -> Engines:
    """Return the engines of the index in `folder`, which `migrate` has made.

    Raises
    ------
    IndexStateError
        If there is no index, or its schema is not the one this code works on.
    """
    if not (folder / INDEX_NAME).is_file():
        raise IndexStateError(
            "there is no index in the data folder", hint="start the node once; it makes the index"
        )
    engines = Engines(
        writer=_make_engine(folder, begin="BEGIN IMMEDIATE", pragmas=_FOR_WRITER, most_connections=1),
        reader=_make_engine(
            folder, begin="BEGIN DEFERRED", pragmas=_FOR_READER, most_connections=_MOST_READERS
        ),
    )
    try:
        with engines.read() as connection:
            check_revision(connection)
    except DbError:
        engines.close()
        raise
    return engines


def migrate(folder: Path) -> None:
    """Make the index in `folder`, or bring its tables to the newest schema; all of it or nothing.

    Raises
    ------
    DiskFullError, StoreError, IndexStateError
        As `Engines.write` does; also IndexStateError if a newer version wrote the index, or if a row would
        point to a row that is not there.
    """
    with _migration_connection(folder) as connection:
        if read_revision(connection) == REVISIONS[-1]:
            return
        from db.migrations.upgrade import upgrade  # noqa: PLC0415 - alembic is slow to import, and rarely needed

        upgrade(connection)
        _check_foreign_keys(connection)


@contextmanager
def _migration_connection(folder: Path) -> Iterator[Connection]:
    """Give a connection in one transaction that may change the tables."""
    try:
        _make_file(folder / INDEX_NAME)
    except OSError as error:
        raise StoreError(
            f"the index could not be made ({error.strerror})",
            errno=error.errno,
            hint="see the data folder's owner and mode",
        ) from error
    engine = _make_engine(folder, begin="BEGIN IMMEDIATE", pragmas=_FOR_MIGRATION, most_connections=1)
    try:
        with _mapped_errors(), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _make_file(path: Path) -> None:
    make_folder(path.parent)
    # Patients' names are in it: not for everybody. SQLite gives its log the mode of the file.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
    flush_folder(path.parent)


def _make_engine(folder: Path, *, begin: str, pragmas: tuple[str, ...], most_connections: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(folder / INDEX_NAME)),
        connect_args={"timeout": _BUSY_TIMEOUT_S},
        hide_parameters=True,  # they are patients' data, and errors are logged
        pool_size=most_connections,
        max_overflow=0,
        pool_timeout=_BUSY_TIMEOUT_S,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def start_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _check_foreign_keys(connection: Connection) -> None:
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if orphans:
        tables = ", ".join(sorted({str(row[0]) for row in orphans}))
        raise IndexStateError(f"rows of {tables} point to rows that are not there; the index was not changed")


@contextmanager
def _mapped_errors() -> Iterator[None]:
    """Turn SQLAlchemy's errors into ours."""
    try:
        yield
    except DBAPIError as error:
        raise _mapped(error.orig) from error
    except SQLAlchemyError as error:
        raise IndexStateError(f"the index cannot be used ({type(error).__name__})") from error


def _mapped(error: BaseException | None) -> DbError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of it are details
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code == sqlite3.SQLITE_FULL:
        return DiskFullError("there is no space left for the index", hint="free space in the data folder")
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(f"the device of the index failed ({name})", hint="check the disk")
    hints = {
        sqlite3.SQLITE_BUSY: "another process holds the index; see whether it still works",
        sqlite3.SQLITE_CORRUPT: "restore the index from a backup",
        sqlite3.SQLITE_NOTADB: "restore the index from a backup",
        sqlite3.SQLITE_READONLY: "the data folder must be writable by the node",
        sqlite3.SQLITE_CANTOPEN: "the data folder must be writable by the node",
    }
    return IndexStateError(f"the index cannot do that ({name})", hint=hints.get(code, ""))
