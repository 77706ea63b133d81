"""Import: DICOM files from a folder, taken in as C-STORE takes what peers send."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import FileFormatError, LowSpaceError
from darkroom.part10 import is_part10, read_head
from db.errors import IdentityError, MalformedDatasetError
from db.header import describe
from db.records import AssociationOutcome, Registration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from config.settings import Settings
    from darkroom.archive import Archive

_START_BYTES = 132


class Fate(StrEnum):
    """What became of one file."""

    STORED = "stored"
    SAME = "same"  # already there, with the same bytes
    CONFLICT = "conflict"  # already there, with other bytes
    REFUSED = "refused"  # a DICOM file that cannot be kept
    SKIPPED = "skipped"  # not a DICOM file


_FATES = {
    Registration.NEW: Fate.STORED,
    Registration.SAME: Fate.SAME,
    Registration.CONFLICT: Fate.CONFLICT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One file and what became of it."""

    path: Path
    fate: Fate
    reason: str = ""
    """Why it was not kept. It holds no value of the file."""


@dataclass(slots=True, kw_only=True)
class Importer:
    """Takes files into an archive."""

    archive: Archive
    settings: Settings
    counts: Counter[Fate] = field(default_factory=Counter)

    def run(self, paths: Sequence[Path]) -> Iterator[Taken]:
        """Take in every file of the folders, and yield what became of each.

        Raises
        ------
        LowSpaceError
            If less space is free than the settings want left alone.
        DbError
            If store or index fail.
        """
        with self._association() as association_id:
            for path in find_files(paths):
                taken = self._take(path, association_id)
                self.counts[taken.fate] += 1
                yield taken

    @contextmanager
    def _association(self) -> Iterator[int]:
        """Note an import as an association of the node with itself: its end is evidence of completeness."""
        index, own = self.archive.index, self.settings.node.ae_title
        association_id = index.open_association(own, own, "", time.time())
        outcome = AssociationOutcome.ABORTED
        try:
            yield association_id
            outcome = AssociationOutcome.RELEASED
        finally:
            index.close_association(association_id, outcome, time.time())

    def _take(self, path: Path, association_id: int) -> Taken:
        try:
            content = self._read(path)
            if content is None:
                return Taken(path=path, fate=Fate.SKIPPED)
            return self._keep(path, content, association_id)
        except OSError as error:
            return Taken(path=path, fate=Fate.REFUSED, reason=f"It cannot be read: {error.strerror}.")
        except (FileFormatError, MalformedDatasetError, IdentityError) as error:
            return Taken(path=path, fate=Fate.REFUSED, reason=str(error))

    def _read(self, path: Path) -> bytes | None:
        """Return a DICOM file's bytes, None for any other file."""
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
            if not is_part10(start):
                return None
            size = os.fstat(file.fileno()).st_size
            if size > self.settings.network.max_dataset_bytes:
                raise FileFormatError("It is larger than network.max_dataset_bytes")
            self._check_space(size)
            return start + file.read()

    def _keep(self, path: Path, content: bytes, association_id: int) -> Taken:
        head = read_head(content)
        dataset = memoryview(content)[head.dataset_offset :]
        record = describe(dataset, head.transfer_syntax_uid)
        store = self.archive.store
        file = store.put(
            dataset,
            sop_class_uid=record.sop_class_uid,
            sop_instance_uid=record.sop_instance_uid,
            transfer_syntax_uid=record.transfer_syntax_uid,
        )
        said = self.archive.index.register(record, file, association_id=association_id, at=time.time())
        if said is not Registration.CONFLICT:
            return Taken(path=path, fate=_FATES[said])
        store.discard(file)
        return Taken(path=path, fate=Fate.CONFLICT, reason="The SOP Instance UID is taken by other content.")

    def _check_space(self, wanted_bytes: int) -> None:
        free_bytes, free_fraction = self.archive.store.free()
        storage = self.settings.storage
        if free_bytes - wanted_bytes < storage.free_bytes or free_fraction < storage.free_fraction:
            raise LowSpaceError(
                "Too little disk space is free to import more.",
                hint="Free some below storage.folder and import again: what is already there is recognised.",
            )


def find_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files given, and every plain file of the folders given, sorted; links in them are not followed."""
    for path in paths:
        if not path.is_dir():
            yield path
        for folder, inner, names in os.walk(path):
            inner.sort()
            found = (Path(folder, name) for name in sorted(names))
            yield from (each for each in found if each.is_file() and not each.is_symlink())
