"""Verification: the whole store, read again and compared with what was acknowledged."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from db.errors import StoredFileError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.index import Index
    from db.records import StoredInstance
    from db.store import Store

ARRIVING_S = 60.0
"""A file this young may be on its way into the index."""


class Damage(StrEnum):
    """What is wrong with a stored instance."""

    MISSING = "missing"
    CHANGED = "changed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedInstance:
    """An instance that the node cannot return as it was acknowledged."""

    damage: Damage
    sop_instance_uid: str
    series_instance_uid: str
    key: str
    message: str


@dataclass(slots=True, kw_only=True)
class Verification:
    """One pass over the store: iterate over `check`, then read what was counted."""

    index: Index
    store: Store
    checked: int = 0
    checked_bytes: int = 0
    damaged: list[DamagedInstance] = field(default_factory=list)
    orphans: tuple[str, ...] = ()
    """Keys of the files that no row names. A crash may leave them; they harm nobody."""

    def check(self) -> Iterator[int]:
        """Check instance after instance, yielding how many files there are to be read in all."""
        # The files first: what is added to the store while this runs is in the index when that is read.
        unnamed = set(self.store.keys())
        total = len(unnamed)
        for instance in self.index.all_instances():
            self._check_one(instance)
            unnamed.discard(instance.file.key)
            yield max(total, self.checked)
        self.orphans = tuple(sorted(key for key in unnamed if self._is_settled(key)))

    def _check_one(self, instance: StoredInstance) -> None:
        try:
            self.store.check(instance)
        except StoreError as error:
            self.damaged.append(
                DamagedInstance(
                    damage=_damage(error),
                    sop_instance_uid=instance.sop_instance_uid,
                    series_instance_uid=instance.series_instance_uid,
                    key=instance.file.key,
                    message=str(error),
                )
            )
        self.checked += 1
        self.checked_bytes += instance.file.dataset_bytes

    def _is_settled(self, key: str) -> bool:
        """Whether a file without a row has been there for so long that none will come."""
        try:
            written_at = self.store.path(key).stat().st_mtime
        except FileNotFoundError:
            return False
        return time.time() - written_at > ARRIVING_S


def _damage(error: StoreError) -> Damage:
    if not isinstance(error, StoredFileError):
        return Damage.UNREADABLE
    return Damage.MISSING if error.errno == errno.ENOENT else Damage.CHANGED
