"""The store: bytes kept as they came, durable in the right order, and a failure is final and clean."""

from __future__ import annotations

import errno
import os
import stat
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.errors import DiskFullError, IdentityError, StoredFileError, StoreError
from db.records import StoredFile, StoredInstance
from db.store import Store
from tests.factories import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, sop_instance_uid

UIDS = {
    "sop_class_uid": CT_IMAGE_STORAGE,
    "sop_instance_uid": sop_instance_uid(1),
    "transfer_syntax_uid": EXPLICIT_VR_LITTLE_ENDIAN,
}
DATASET = b"\x08\x00\x60\x00CS\x02\x00CT" + b"\xe0\x7f\x10\x00OW\0\0\x00\x08\0\0" + bytes(range(256)) * 8


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.prepare()
    return store


def put(store: Store, dataset: bytes = DATASET, **uids: str) -> StoredFile:
    return store.put(dataset, **(UIDS | uids))


def instance_of(file: StoredFile) -> StoredInstance:
    return StoredInstance(instance_id=1, file=file, **UIDS)


def drafts(folder: Path) -> list[Path]:
    return list((folder / "drafts").iterdir())


def failing(number: int) -> Any:
    def fail(*_args: object, **_options: object) -> Any:
        raise OSError(number, os.strerror(number), "/outside/path")

    return fail


# What is kept


def test_the_bytes_are_kept_verbatim(store: Store) -> None:
    """Behind our head lie the bytes as they were sent, and the record says where."""
    file = put(store)
    content = store.path(file.key).read_bytes()
    assert content[file.dataset_offset :] == DATASET
    assert file.dataset_bytes == len(DATASET)
    assert store.read_dataset(instance_of(file)) == DATASET
    store.check(instance_of(file))


def test_another_reader_reads_the_file(store: Store) -> None:
    """It is a Part 10 file with the three UIDs, for pydicom at least."""
    read = pydicom.dcmread(store.path(put(store).key))
    assert read.file_meta.MediaStorageSOPInstanceUID == UIDS["sop_instance_uid"]
    assert read.file_meta.TransferSyntaxUID == EXPLICIT_VR_LITTLE_ENDIAN
    assert read.PixelData == bytes(range(256)) * 8


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_name_is_the_content(store: Store, one: bytes, other: bytes) -> None:
    """The same bytes have the same name and other bytes another; both are kept."""
    files = [put(store, content) for content in (one, other)]
    assert (files[0] == files[1]) == (one == other)
    assert [store.read_dataset(instance_of(file)) for file in files] == [one, other]


@pytest.mark.parametrize("key", sorted(UIDS))
def test_the_head_is_content_too(store: Store, key: str) -> None:
    """With another UID in its head it is another file: a row never finds its data set shifted."""
    assert put(store).key != put(store, **{key: "1.2.840.10008.1.2.4.123.4"}).key


def test_a_file_is_not_for_everybody(store: Store) -> None:
    """Others may neither read it nor reach its folder."""
    path = store.path(put(store).key)
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o007 == 0


def test_a_buffer_is_taken_as_it_is(store: Store) -> None:
    """A view into the receiver's buffer is kept without a copy of it being made."""
    buffer = bytearray(32 * 1024 * 1024)
    tracemalloc.start()
    file = store.put(memoryview(buffer)[16:], **UIDS)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert file.dataset_bytes == len(buffer) - 16
    assert peak_bytes < 1024 * 1024


def test_a_short_write_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take fewer bytes than it is given, even inside the head."""
    monkeypatch.setattr("os.writev", lambda descriptor, parts: os.write(descriptor, bytes(parts[0][:7])))
    file = put(store)
    store.check(instance_of(file))
    assert store.read_dataset(instance_of(file)) == DATASET


def test_a_write_of_nothing_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes no byte at all is an error, not an endless loop."""
    monkeypatch.setattr("os.writev", lambda _descriptor, _parts: 0)
    with pytest.raises(StoreError):
        put(store)


@pytest.mark.parametrize("key", sorted(UIDS))
@pytest.mark.parametrize("value", ["../../../etc/passwd", "", "1.2\0", "1/2", "1." * 40 + "1"])
def test_nothing_from_outside_becomes_a_path(store: Store, tmp_path: Path, key: str, value: str) -> None:
    """What is no UID is refused before a file is made."""
    with pytest.raises(IdentityError):
        put(store, **{key: value})
    assert drafts(tmp_path) == list(store.keys()) == []


@pytest.mark.parametrize(
    "key", ["", "..", "../" * 20 + "a" * 4, "A" * 64, "a" * 63, "a" * 64 + "\n", "/" * 64]
)
def test_only_our_names_are_paths(store: Store, key: str) -> None:
    """A key that we did not make leads nowhere."""
    with pytest.raises(StoreError):
        store.path(key)


# When it counts


def test_the_order_is_write_flush_link_flush(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are flushed before the name is made, and the name before anybody is told."""
    calls: list[str] = []

    def noted(name: str) -> Any:
        real = getattr(os, name)

        def call(*args: Any, **options: Any) -> Any:
            place = ""
            if isinstance(args[0], int):
                target = Path(f"/proc/self/fd/{args[0]}").readlink()
                place = " draft" if target.parent == tmp_path / "drafts" else " folder"
            calls.append(name + place)
            return real(*args, **options)

        return call

    for name in ("writev", "fsync", "link"):
        monkeypatch.setattr(os, name, noted(name))
    put(store)
    assert calls == ["writev draft", "fsync draft", "link", "fsync folder"]
    calls.clear()
    put(store)
    assert calls == ["writev draft", "fsync draft", "link", "fsync folder"]


@pytest.mark.parametrize("call", ["writev", "fsync", "link"])
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EIO, StoreError),
        (errno.EFBIG, StoreError),
    ],
)
def test_a_failure_leaves_nothing(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    expected: type[StoreError],
) -> None:
    """Whatever step fails, there is no file and no draft; the error has the reason and no path; later ones succeed."""
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(number))
        with pytest.raises(StoreError) as caught:
            put(store)
    assert type(caught.value) is expected
    assert caught.value.errno == number
    assert caught.value.hint
    assert "/outside" not in str(caught.value)
    assert drafts(tmp_path) == list(store.keys()) == []
    store.check(instance_of(put(store)))


def test_a_folder_that_cannot_be_flushed_is_a_failure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name may be lost, so nothing is promised, though the file may be there as an orphan."""
    flush = os.fsync

    def flush_the_draft_only(descriptor: int) -> None:
        flush(descriptor)
        os.fsync = failing(errno.EIO)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", flush_the_draft_only)
        with pytest.raises(StoreError):
            put(store)
    store.check(instance_of(put(store)))


def test_a_failure_is_not_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed flush the system may call the next one a success, so there is none on that file."""
    flushed: list[int] = []

    def fail(descriptor: int) -> None:
        flushed.append(descriptor)
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError):
        put(store)
    assert len(flushed) == 1


# The same again


def test_the_same_again_is_one_file(store: Store, tmp_path: Path) -> None:
    """A re-sent instance neither fails nor multiplies."""
    assert put(store) == put(store)
    assert len(list(store.keys())) == 1
    assert drafts(tmp_path) == []


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * (len(DATASET) + 300)])
def test_the_same_again_mends_what_was_damaged(store: Store, damage: bytes) -> None:
    """If the stored file was damaged since, the fresh copy takes its place: SAME is never said of bad bytes."""
    file = put(store)
    store.path(file.key).write_bytes(damage)
    assert put(store) == file
    store.check(instance_of(file))


def test_a_link_in_the_way_is_not_followed(store: Store, tmp_path: Path) -> None:
    """A symbolic link under the name is replaced, and what it pointed to is neither read nor written."""
    file = put(store)
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    store.path(file.key).unlink()
    store.path(file.key).symlink_to(outside)
    with pytest.raises(StoreError):
        store.open(file.key)
    put(store)
    assert outside.read_bytes() == b"mine"
    store.check(instance_of(file))


def test_many_at_once(store: Store, tmp_path: Path) -> None:
    """Threads that put the same and other bytes at once get the file of their own bytes each."""
    contents = [bytes([number % 5]) * 3000 for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda content: put(store, content), contents))
    assert [store.read_dataset(instance_of(file)) for file in files] == contents
    assert len(list(store.keys())) == 5
    assert drafts(tmp_path) == []


# Finding faults


@pytest.mark.parametrize("fault", ["first byte", "preamble", "head", "last byte", "cut", "longer", "missing"])
def test_a_changed_file_is_found(store: Store, fault: str) -> None:
    """One bit anywhere, a byte less or more, or the file gone: the check names the instance or the file."""
    file = put(store)
    path = store.path(file.key)
    content = bytearray(path.read_bytes())
    place = {"first byte": file.dataset_offset, "preamble": 5, "head": 160, "last byte": -1}.get(fault)
    if place is not None:
        content[place] ^= 1
    path.write_bytes({"cut": content[:-1], "longer": content + b"\0"}.get(fault, content))
    if fault == "missing":
        path.unlink()
    with pytest.raises(StoredFileError, match=r"instance 1\.2\.826|" + file.key):
        store.check(instance_of(file))


def test_a_cut_file_is_not_read_as_whole(store: Store) -> None:
    """Retrieval never sends less than was acknowledged."""
    file = put(store)
    path = store.path(file.key)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoredFileError):
        store.read_dataset(instance_of(file))


def test_discard_removes_that_file_only(store: Store) -> None:
    """The refused file goes, the kept one stays, and discarding twice is no error."""
    kept, refused = put(store), put(store, b"other")
    store.discard(refused)
    store.discard(refused)
    assert list(store.keys()) == [kept.key]


def test_every_file_is_listed_once(store: Store, tmp_path: Path) -> None:
    """Orphans are found by listing; what is not ours is left out of it."""
    files = [put(store, bytes([number])) for number in range(20)]
    (tmp_path / "instances" / "00" / "README").touch()
    assert list(store.keys()) == sorted(file.key for file in files)


# The folders


def test_preparing_twice_loses_nothing(store: Store, tmp_path: Path) -> None:
    """Every start prepares; the 256 folders and what is in them stay."""
    file = put(store)
    store.prepare()
    store.check(instance_of(file))
    assert len(list((tmp_path / "instances").iterdir())) == 256


def test_stale_drafts_go_and_living_ones_stay(store: Store, tmp_path: Path) -> None:
    """A second process that starts does not tear away what the first one is writing."""
    (tmp_path / "drafts" / "0123.draft").write_bytes(b"left by a killed process")
    with store._new_draft() as (_, living):
        Store(tmp_path).prepare()
        assert drafts(tmp_path) == [living]
    Store(tmp_path).prepare()
    assert drafts(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the place of the data folder is an error of the store with a hint and without a path."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        Store(tmp_path / "file").prepare()
    assert caught.value.hint
    assert "/" not in str(caught.value)


def test_free_space_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the node may use counts, not what the system keeps for itself."""
    free_bytes, fraction = store.free()
    assert free_bytes > 0
    assert 0 < fraction <= 1
    values = (4096, 4096, 1000, 300, 200, 0, 0, 0, 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(values))
    assert store.free() == (200 * 4096, 0.2)
