"""The open archive: store, index, ledger and job queue of one data folder, together."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from darkroom.errors import DataFolderError, NoArchiveError, NodeRunningError
from darkroom.key_file import ensure_key, read_key
from db.engine import INDEX_NAME, Engines, migrate, open_engines
from db.index import Index
from db.jobs import JobQueue
from db.ledger import Ledger
from db.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from config.settings import Settings

LOCK_FILE = "node.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """All that persists, opened."""

    engines: Engines
    store: Store
    index: Index
    ledger: Ledger
    queue: JobQueue


def make_archive(settings: Settings) -> None:
    """Make the archive of the settings' data folder, or bring it to this version; to be called before it is written to.

    Raises
    ------
    StoreError
        If the folder cannot be made or written.
    IndexStateError
        If the index was written by a newer version.
    KeyFileError
        If the key of the pseudonyms cannot be made, or an archive that had one has lost it.
    """
    folder = settings.data_folder
    is_new = not (folder / INDEX_NAME).exists()
    Store(folder).prepare()
    if is_new:  # to an old archive a new key would give every patient a second pseudonym, without a word
        ensure_key(settings.key_file)
    read_key(settings.key_file)
    migrate(folder)
    engines = open_engines(folder)
    try:
        JobQueue(engines).prepare()
    finally:
        engines.close()


@contextmanager
def open_archive(settings: Settings) -> Iterator[Archive]:
    """Open an archive that is there, and close it at the end.

    Several processes may have it open at once; only one may be the node, see `sole_node`.

    Raises
    ------
    NoArchiveError
        If there is none in the data folder; a mistyped folder is not to be filled.
    IndexStateError
        If the index was written by another version.
    """
    folder = settings.data_folder
    if not (folder / INDEX_NAME).exists():
        raise NoArchiveError(
            "There is no archive in the data folder.",
            hint="darkroom serve or darkroom import makes one. Is storage.folder right, and --config given?",
        )
    engines = open_engines(folder)
    queue = JobQueue(engines)
    try:
        yield Archive(
            engines=engines, store=Store(folder), index=Index(engines), ledger=Ledger(engines), queue=queue
        )
    finally:
        queue.close()
        engines.close()


@contextmanager
def sole_node(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: one node receives into a data folder at a time.

    Raises
    ------
    NodeRunningError
        If another process holds it.
    DataFolderError
        If the folder cannot be made or written.
    """
    with _open_lock(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NodeRunningError(
                "Another node already receives into this data folder.",
                hint="Stop it first, or give this node another storage.folder.",
            ) from error
        yield


def _open_lock(folder: Path) -> TextIO:
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        return (folder / LOCK_FILE).open("a")
    except OSError as error:
        raise DataFolderError(
            f"The data folder cannot be made or written: {error.strerror}.",
            hint="Check storage.folder, and that the node's user may write there.",
        ) from error
