"""Processes that keep and register instances: one for ever, some against each other.

Each line printed is an answer that a sender would have got: ``<SOP Instance UID> <Registration> <dataset SHA-256>``.
"""

from __future__ import annotations

import hashlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from db.engine import open_engines
from db.index import Index
from db.records import Registration
from db.store import Store
from tests.factories import instance_record, sop_instance_uid


def content_of(sop_instance_uid: str) -> bytes:
    """The data set of an instance: up to 100 kB that follow from its UID."""
    digest = hashlib.sha256(sop_instance_uid.encode()).digest()
    return digest * (1 + digest[0] * 12)


def keep(store: Store, index: Index, uid: str, dataset: bytes) -> None:
    """Keep and register one instance as C-STORE does, and say what came of it."""
    record = instance_record(sop_instance_uid=uid)
    file = store.put(
        dataset,
        sop_class_uid=record.sop_class_uid,
        sop_instance_uid=uid,
        transfer_syntax_uid=record.transfer_syntax_uid,
    )
    said = index.register(record, file, association_id=None, at=time.time())
    if said is Registration.CONFLICT:
        store.discard(file)
    sys.stdout.write(f"{uid} {said.value} {file.dataset_sha256}\n")
    sys.stdout.flush()


def register_for_ever(store: Store, index: Index, series: int) -> None:
    for number in count(1):
        uid = sop_instance_uid(number, series)
        keep(store, index, uid, content_of(uid))


def register_against_others(store: Store, index: Index, contents: int) -> None:
    """Four threads offer the same ten UIDs, each with several contents, in their own order."""

    def offer(thread: int) -> None:
        for step in range(10 * contents):
            number = (step * (thread * 2 + 1)) % 10
            keep(store, index, sop_instance_uid(number), b"%d" % ((step + thread) % contents))

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(offer, thread) for thread in range(4)]:
            future.result()


def main() -> None:
    folder, what, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    engines = open_engines(folder)
    store, index = Store(folder), Index(engines)
    {"for ever": register_for_ever, "against others": register_against_others}[what](store, index, number)
    engines.close()


if __name__ == "__main__":
    main()
