"""Outputs on their way out: from a job's staging folder to their final places, durable and whole.

A file appears in the export folder under its final name only when its bytes are on stable storage, and by one rename.
The names are made of revision, route and processor, so a job that runs again replaces its own files with the
same bytes, whenever it was killed; another job's files are never touched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from db.folder import FILE_MODE, flush_folder, make_folder
from db.jobs import JobError
from db.records import OutputRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from darkroom.outputs import OutputDraft

STAGING = ".staging"
"""The folder below the export folder that holds what is not finished; on the same device, so that rename works."""


def make_staging(export_folder: Path, job_id: str) -> Path:
    """Return a new and empty folder for one attempt at a job; nobody else writes into it.

    Raises
    ------
    JobError
        If it cannot be made.
    """
    root = export_folder / STAGING
    try:
        make_folder(root)
        return Path(tempfile.mkdtemp(prefix=f"{job_id}.", dir=root))
    except OSError as error:
        raise _refused(error) from error


def clear_staging(export_folder: Path) -> None:
    """Remove what killed attempts left behind; only while no job runs."""
    shutil.rmtree(export_folder / STAGING, ignore_errors=True)


def check_drafts(drafts: Sequence[OutputDraft]) -> None:
    """Refuse drafts that would be published outside the export folder, or over each other.

    Raises
    ------
    JobError
        If a name is not a plain relative path, or comes twice.
    """
    for draft in drafts:
        for name in (draft.path, draft.staged):
            parts = PurePosixPath(name).parts
            if (
                not parts
                or str(PurePosixPath(name)) != name
                or any(part.startswith((".", "/")) for part in parts)
            ):
                raise JobError("an output's name is not a plain relative path")
    if len({draft.path for draft in drafts}) != len(drafts) or len({draft.staged for draft in drafts}) != len(
        drafts
    ):
        raise JobError("two outputs have the same name")


def publish(drafts: Sequence[OutputDraft], *, staging: Path, export_folder: Path) -> tuple[OutputRecord, ...]:
    """Move the drafts' files to their final places and return their records, once all of it is on stable storage.

    Parameters
    ----------
    drafts
        What the processor wrote, checked by `check_drafts`.
    staging
        Where it wrote.
    export_folder
        Below which it is published.

    Raises
    ------
    JobError
        If a file is not there or is no plain file; retryable if the disk is full or failed.
    """
    try:
        # First all the bytes, then the names: a full disk leaves no half of a result in the export folder.
        records = [_flush_file(draft, staging / draft.staged) for draft in drafts]
        for draft in drafts:
            target = export_folder / draft.path
            make_folder(target.parent)
            (staging / draft.staged).replace(target)
        for folder in sorted({(export_folder / draft.path).parent for draft in drafts}):
            flush_folder(folder)
    except OSError as error:
        raise _refused(error) from error
    return tuple(records)


def _flush_file(draft: OutputDraft, path: Path) -> OutputRecord:
    """Return the file's record, once its bytes and mode are on stable storage."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - opened by descriptor, so that a link is not followed
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise JobError("an output is not a plain file")
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fchmod(descriptor, FILE_MODE)
        os.fsync(descriptor)
    return OutputRecord(
        path=draft.path, kind=draft.kind, sha256=digest, size_bytes=status.st_size, inputs=tuple(draft.inputs)
    )


def _refused(error: OSError) -> JobError:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return JobError(
        f"the outputs cannot be written: {reason}",
        hint="see whether the export folder can be written and has space",
        retryable=True,
    )
