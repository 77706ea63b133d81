"""Exports made again: outside the queue, into a folder of the operator's, or only to be compared."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from darkroom.errors import RequestError
from darkroom.isolation import Limits, run_isolated
from darkroom.publish import check_drafts
from darkroom.worker import PROCESSOR
from db.folder import make_folder
from db.records import JobRecord, JobState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from config.settings import Settings
    from darkroom.outputs import OutputDraft
    from db.records import FindingRecord, LedgerEntry

_BY_HAND = "by-hand"


class Likeness(StrEnum):
    """How an output made again compares with what was recorded of it."""

    EQUAL = "equal"
    DIFFERENT = "different"
    MISSING = "missing"  # recorded, but not made this time
    NEW = "new"  # made this time, but not recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One output, recorded and made again."""

    path: str
    likeness: Likeness
    recorded_sha256: str = ""
    made_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a processor wrote into the staging folder, and what it found."""

    drafts: tuple[OutputDraft, ...]
    findings: tuple[FindingRecord, ...]


def request_by_hand(entry: LedgerEntry, processor: str, *, deidentify: bool) -> JobRecord:
    """Return a job for the last closed revision of a series, which no queue knows.

    Raises
    ------
    RequestError
        If no revision was closed yet.
    """
    if entry.revision == 0:
        raise RequestError(
            "The series is still receiving.", hint="Wait for its first revision; see darkroom series."
        )
    return JobRecord(
        job_id=_BY_HAND,
        series_id=entry.series_id,
        series_instance_uid=entry.series_instance_uid,
        revision=entry.revision,
        route=_BY_HAND,
        processor=processor,
        parameters={"deidentify": deidentify},
        state=JobState.RUNNING,
        tries=1,
        queued_at=time.time(),
    )


def make(job: JobRecord, settings: Settings, staging: Path) -> Made:
    """Run a job's processor in a child with the worker's limits.

    Raises
    ------
    JobError
        If it fails, or breaks a limit.
    """
    worker = settings.worker
    drafts, findings = run_isolated(
        PROCESSOR,
        (job, settings, staging),
        limits=Limits(memory_bytes=worker.memory_bytes, cpu_s=worker.cpu_s, wall_s=worker.wall_s),
        cancel=threading.Event(),
    )
    check_drafts(drafts)
    return Made(drafts=tuple(drafts), findings=tuple(findings))


def deliver(made: Made, staging: Path, folder: Path) -> list[Path]:
    """Move what was made into the operator's folder, in folders by study and series, and return where it lies."""
    targets = []
    for draft in made.drafts:
        target = folder / draft.path.removeprefix(f"{_BY_HAND}/")
        make_folder(target.parent)
        shutil.move(staging / draft.staged, target)
        targets.append(target)
    return targets


def compare(job: JobRecord, made: Made, staging: Path) -> list[Comparison]:
    """Return how each output made again compares with the job's records, by path."""
    return sorted(_compare(job, made, staging), key=lambda comparison: comparison.path)


def _compare(job: JobRecord, made: Made, staging: Path) -> Iterator[Comparison]:
    digests = _digests(made.drafts, staging)
    for output in job.outputs:
        digest = digests.pop(output.path, "")
        likeness = Likeness.EQUAL if digest == output.sha256 else Likeness.DIFFERENT
        yield Comparison(
            path=output.path,
            likeness=likeness if digest else Likeness.MISSING,
            recorded_sha256=output.sha256,
            made_sha256=digest,
        )
    for path, digest in digests.items():
        yield Comparison(path=path, likeness=Likeness.NEW, made_sha256=digest)


def _digests(drafts: Sequence[OutputDraft], staging: Path) -> dict[str, str]:
    digests = {}
    for draft in drafts:
        with (staging / draft.staged).open("rb") as file:
            digests[draft.path] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
