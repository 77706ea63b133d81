"""The store: one file an instance, kept as it was sent.

A file is named after its own bytes. The same content has the same name and other content another, so two
senders never meet in one file, and the row of the index alone decides which file an instance has.
A file that no row names is an orphan: it harms nobody, and `Store.keys` finds it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from db.errors import DiskFullError, StoredFileError, StoreError
from db.folder import FILE_MODE, FOLDER_MODE, flush_folder, make_folder
from db.identity import check_uid
from db.part10 import encode_head
from db.records import StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from db.records import StoredInstance

_KEY = re.compile(r"[0-9a-f]{64}")
_DRAFT_SUFFIX = ".draft"
_CHUNK_BYTES = 1024 * 1024
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class Store:
    """The files of the data folder.

    Threads and processes may use it at once, each with a `Store` of its own or a shared one.

    Parameters
    ----------
    folder
        The data folder; `instances` and `drafts` are made in it, so both are in one file system.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._instances = folder / "instances"
        self._drafts = folder / "drafts"

    def prepare(self) -> None:
        """Make the folders where they are absent, and remove what a killed process left unfinished.

        Raises
        ------
        StoreError
            If the data folder cannot be written.
        """
        with _mapped_errors("the data folder could not be prepared"):
            make_folder(self._drafts)
            make_folder(self._instances)
            for name in _folder_names():
                (self._instances / name).mkdir(mode=FOLDER_MODE, exist_ok=True)
            # Even if nothing was made now: the one who made it may have died before this line.
            flush_folder(self._instances)
            flush_folder(self._folder)
        self.remove_drafts()

    def remove_drafts(self) -> None:
        """Remove the drafts that nobody writes any more; those of living processes are left alone.

        Raises
        ------
        StoreError
            If the folder of drafts cannot be read or written.
        """
        with _mapped_errors("stale drafts could not be removed"):
            for draft in self._drafts.glob(f"*{_DRAFT_SUFFIX}"):
                _remove_if_stale(draft)

    def put(
        self,
        dataset: bytes | bytearray | memoryview,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
    ) -> StoredFile:
        """Keep a data set and return its file, which is on stable storage by then.

        Parameters
        ----------
        dataset
            The bytes as they were sent, without file meta information. They are not copied.
        sop_class_uid, sop_instance_uid, transfer_syntax_uid
            What the file meta information says.

        Raises
        ------
        IdentityError
            If one of the UIDs is none.
        DiskFullError
            If there is no space left.
        StoreError
            If the file could not be written, flushed or named. It is not tried again: after a failed flush
            the system may have forgotten the bytes (and calls the next flush a success).
        """
        head = encode_head(
            sop_class_uid=check_uid(sop_class_uid, "SOP Class UID"),
            sop_instance_uid=check_uid(sop_instance_uid, "SOP Instance UID"),
            transfer_syntax_uid=check_uid(transfer_syntax_uid, "Transfer Syntax UID"),
        )
        view = memoryview(dataset).cast("B")
        digest = hashlib.sha256(view)
        key = _key(head, digest.digest())
        with _mapped_errors("the instance could not be written"):
            self._publish([memoryview(head), view], self.path(key))
        return StoredFile(
            key=key, dataset_sha256=digest.hexdigest(), dataset_offset=len(head), dataset_bytes=len(view)
        )

    def discard(self, file: StoredFile) -> None:
        """Remove a file that the index refused with `Registration.CONFLICT`.

        Only then: no row can come to name it, because another one already holds its SOP Instance UID. After
        an error, or after `Registration.SAME`, a row may name the file, or be about to; leave it.

        Raises
        ------
        StoreError
            If it cannot be removed.
        """
        with _mapped_errors("a refused file could not be removed"):
            self.path(file.key).unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        """Return where the file `key` is, or would be.

        Raises
        ------
        StoreError
            If `key` is not a name of the store.
        """
        if not _KEY.fullmatch(key):
            raise StoreError("that is not the name of a stored file")
        return self._instances / key[:2] / key

    def open(self, key: str) -> BinaryIO:
        """Return the file `key`, open for reading; the caller closes it.

        Raises
        ------
        StoredFileError
            If it is not there.
        StoreError
            If it cannot be opened.
        """
        with _mapped_errors(f"the stored file {key} could not be opened"):
            try:
                descriptor = os.open(self.path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise StoredFileError(f"the stored file {key} is missing", errno=errno.ENOENT) from error
            return os.fdopen(descriptor, "rb")

    def read_dataset(self, instance: StoredInstance) -> bytes:
        """Return the data set exactly as it was sent.

        Raises
        ------
        StoredFileError
            If the file is missing or too short. Its bytes are not compared; see `check`.
        StoreError
            If it cannot be read.
        """
        with self.open(instance.file.key) as file, _mapped_errors(f"{_name(instance)} could not be read"):
            file.seek(instance.file.dataset_offset)
            dataset = file.read(instance.file.dataset_bytes)
        if len(dataset) != instance.file.dataset_bytes:
            raise StoredFileError(
                f"{_name(instance)} has {len(dataset)} bytes of {instance.file.dataset_bytes}"
            )
        return dataset

    def check(self, instance: StoredInstance) -> None:
        """Read the whole file and compare it with what was acknowledged.

        Raises
        ------
        StoredFileError
            If the file is missing, or a byte of it differs.
        StoreError
            If it cannot be read.
        """
        with self.open(instance.file.key) as file, _mapped_errors(f"{_name(instance)} could not be read"):
            head = file.read(instance.file.dataset_offset)
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        if digest.hexdigest() != instance.file.dataset_sha256:
            raise StoredFileError(f"the data set of {_name(instance)} changed in the store")
        if _key(head, digest.digest()) != instance.file.key:
            raise StoredFileError(f"the file meta information of {_name(instance)} changed in the store")

    def free(self) -> tuple[int, float]:
        """Return the space that is left to the node: in bytes, and as a fraction of the file system.

        Raises
        ------
        StoreError
            If the data folder is not there.
        """
        with _mapped_errors("the free space could not be read"):
            status = os.statvfs(self._folder)
        return status.f_bavail * status.f_frsize, status.f_bavail / max(status.f_blocks, 1)

    def keys(self) -> Iterator[str]:
        """Yield the name of every stored file, sorted.

        Raises
        ------
        StoreError
            If the folders cannot be read.
        """
        for folder_name in _folder_names():
            folder = self._instances / folder_name
            with _mapped_errors("the store could not be listed"), os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
            yield from (name for name in names if _KEY.fullmatch(name))

    def _publish(self, parts: Sequence[memoryview], path: Path) -> None:
        with self._new_draft() as (descriptor, draft):
            _write_all(descriptor, parts)
            os.fsync(descriptor)
            try:
                os.link(draft, path, follow_symlinks=False)
            except FileExistsError:
                # The same content by its name, but perhaps damaged since; this copy is known to be good.
                draft.replace(path)
        flush_folder(path.parent)

    @contextmanager
    def _new_draft(self) -> Iterator[tuple[int, Path]]:
        draft = self._drafts / f"{uuid.uuid4().hex}{_DRAFT_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(draft, flags, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # as long as we live, `remove_drafts` leaves it alone
            yield descriptor, draft
        finally:
            with suppress(OSError):  # a draft that stays is removed at the next start
                draft.unlink(missing_ok=True)
            os.close(descriptor)


def _key(head: bytes, digest: bytes) -> str:
    return hashlib.sha256(head + digest).hexdigest()


def _name(instance: StoredInstance) -> str:
    return f"instance {instance.sop_instance_uid}"


def _folder_names() -> list[str]:
    return [f"{number:02x}" for number in range(256)]


def _write_all(descriptor: int, parts: Sequence[memoryview]) -> None:
    remaining = list(parts)
    while remaining:
        written = os.writev(descriptor, remaining)
        if written == 0 and any(remaining):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        while remaining and written >= len(remaining[0]):
            written -= len(remaining.pop(0))
        if remaining:
            remaining[0] = remaining[0][written:]


def _remove_if_stale(draft: Path) -> None:
    try:
        descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # its writer was quicker
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink(missing_ok=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


@contextmanager
def _mapped_errors(what: str) -> Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if error.errno in _NO_SPACE:
            raise DiskFullError(
                f"{what}: {reason}", errno=error.errno, hint="free space in the data folder"
            ) from error
        raise StoreError(
            f"{what}: {reason}", errno=error.errno, hint="check the data folder and its disk"
        ) from error
