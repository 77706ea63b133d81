"""C-STORE over real associations: kept byte for byte and indexed, or answered with a failure."""

from __future__ import annotations

import subprocess

import pydicom
import pytest
from pydicom.uid import UID_dictionary

from db.errors import DiskFullError, IndexStateError
from db.index import Index
from db.store import Store
from scp.contexts import is_public_transfer_syntax
from tests.scp.nodes import (
    BIG_ENDIAN,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_LOSSLESS,
    STUDY_FIND,
    VERIFICATION,
    association,
    build_context,
    ct_dataset,
    encode_dataset,
    peer,
    running_node,
    storage,
    store_bytes,
    store_dataset,
    wait_until,
)
from tests.series_factory import CANARY_ID, CANARY_NAME, part10
from tests.witnesses import dcmtk

EVERY_TRANSFER_SYNTAX = sorted(
    uid
    for uid, entry in UID_dictionary.items()
    if entry[1] == "Transfer Syntax" and is_public_transfer_syntax(uid)
)


def test_every_transfer_syntax_is_kept_byte_for_byte(node):
    """All of the standard's, retired ones too, each in a context of its own."""
    with association(node, storage(*EVERY_TRANSFER_SYNTAX)) as opened:
        assert len(opened.accepted_contexts) == len(EVERY_TRANSFER_SYNTAX)
        for number, uid in enumerate(EVERY_TRANSFER_SYNTAX):
            dataset = ct_dataset(uid)
            encoded, status = store_dataset(opened, dataset, uid, number + 1)
            assert status == 0x0000, uid
            instance = node.index.stored(dataset.SOPInstanceUID)
            assert instance is not None
            assert instance.transfer_syntax_uid == uid
            assert node.store.read_dataset(instance) == encoded


@pytest.mark.parametrize(
    "sop_class_uid",
    ["1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.9999", "1.3.12.2.1107.5.9.1"],
)
def test_retired_unknown_and_private_classes_are_kept(node, sop_class_uid):
    """A SOP class that nobody knows is stored like any other."""
    dataset = ct_dataset(sop_class_uid)
    dataset.SOPClassUID = sop_class_uid
    with association(node, storage(sop_class_uid=sop_class_uid)) as opened:
        encoded, status = store_dataset(opened, dataset)
    assert status == 0x0000
    assert node.dataset(dataset.SOPInstanceUID) == encoded


def test_the_same_again_is_acknowledged_again(node):
    """A sender that did not hear the acknowledgement may repeat; nothing is kept twice."""
    dataset = ct_dataset()
    with association(node, storage()) as opened:
        assert [store_dataset(opened, dataset)[1] for _ in range(3)] == [0, 0, 0]
    assert len(node.files()) == 1


def test_the_same_uid_with_other_bytes_is_refused(node):
    """The first stays as it is, the second leaves no file, and the peer is told."""
    dataset = ct_dataset()
    with association(node, storage(EXPLICIT, IMPLICIT)) as opened:
        encoded, _ = store_dataset(opened, dataset)
        dataset.SeriesDescription = "other"
        _, status = store_dataset(opened, dataset)
        assert status == 0x0111
        assert store_dataset(opened, dataset, IMPLICIT)[1] == 0x0111
    assert node.dataset(dataset.SOPInstanceUID) == encoded
    assert len(node.files()) == 1


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize(
    "hostile", ["../../../../tmp/x", "1.2." + "3" * 64, "1.2\x003", "/etc/passwd", "1..2", " "]
)
def test_a_hostile_uid_is_answered_and_leaves_no_file(node, hostile, tmp_path):
    """Nothing from the wire becomes a path; the association goes on."""
    dataset = ct_dataset()
    before = set(tmp_path.rglob("*"))
    with association(node, storage()) as opened:
        response = store_bytes(opened, encode_dataset(dataset, EXPLICIT), sop_instance_uid=hostile)
        assert response.Status in (0x0117, 0x0212)
        assert response.AffectedSOPInstanceUID is None
        assert not node.files()
        assert set(tmp_path.rglob("*")) - before <= {
            node.folder / "index.sqlite-wal",
            node.folder / "index.sqlite-shm",
        }
        assert store_dataset(opened, dataset)[1] == 0x0000


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_a_hostile_uid_in_the_data_set_is_answered(node):
    """The data set's own UID is checked like the command's."""
    dataset = ct_dataset()
    good = str(dataset.SOPInstanceUID)
    encoded = encode_dataset(dataset, EXPLICIT).replace(
        good.encode(), b"../" * (len(good) // 3) + b"x" * (len(good) % 3)
    )
    with association(node, storage()) as opened:
        response = store_bytes(opened, encoded, sop_instance_uid=good)
    assert response.Status == 0xC000
    assert not node.files()


def test_another_instance_than_announced_is_refused(node):
    """Command and data set must name the same instance and class (PS3.4 B.2.3)."""
    dataset, other = ct_dataset(), ct_dataset("other")
    encoded = encode_dataset(dataset, EXPLICIT)
    mr = "1.2.840.10008.5.1.4.1.1.4"
    with association(node, [*storage(), *storage(sop_class_uid=mr)]) as opened:
        first = store_bytes(opened, encoded, sop_instance_uid=other.SOPInstanceUID)
        second = store_bytes(opened, encoded, sop_instance_uid=dataset.SOPInstanceUID, sop_class_uid=mr)
    assert (first.Status, second.Status) == (0xA900, 0xA900)
    assert not node.files()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-5],
        lambda data: data[:200] + b"\xff" * 40 + data[240:],
        lambda data: b"\x00",
        lambda data: (
            b"\x08\x00\x05\x00SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
        ),
    ],
)
def test_a_malformed_data_set_is_answered_and_the_association_goes_on(node, damage):
    """What cannot be read is refused with a comment that tells nothing of the patient."""
    dataset = ct_dataset()
    encoded = encode_dataset(dataset, EXPLICIT)
    with association(node, storage()) as opened:
        response = store_bytes(opened, damage(encoded), sop_instance_uid=dataset.SOPInstanceUID)
        assert response.Status in (0xC000, 0x0212)
        assert response.ErrorComment
        assert CANARY_NAME not in response.ErrorComment
        assert CANARY_ID not in response.ErrorComment
        assert not node.files()
        assert store_dataset(opened, dataset)[1] == 0x0000


class _SmallDisk(Store):
    """A disk whose free space is what the test says."""

    free_now = (10**12, 0.5)

    def free(self) -> tuple[int, float]:
        return type(self).free_now


def test_low_disk_refuses_before_writing_and_only_storing(tmp_path, monkeypatch):
    """0xA700 and no file; echo goes on, and storing recovers by itself."""
    with running_node(
        tmp_path / "data", make_store=_SmallDisk, free_bytes=1_000_000, free_fraction=0.05
    ) as node:
        dataset = ct_dataset()
        contexts = [
            *storage(),
            build_context(VERIFICATION, [EXPLICIT]),
            build_context(STUDY_FIND, [EXPLICIT]),
        ]
        with association(node, contexts) as opened:
            for free in ((1_000_000, 0.5), (10**12, 0.049)):
                monkeypatch.setattr(_SmallDisk, "free_now", free)
                assert store_dataset(opened, dataset)[1] == 0xA700
                assert not node.files()
                assert opened.send_c_echo().Status == 0x0000
            monkeypatch.setattr(_SmallDisk, "free_now", (10**12, 0.5))
            assert store_dataset(opened, dataset)[1] == 0x0000


class _FullDisk(Store):
    def put(self, dataset, **uids):
        raise DiskFullError("the instance could not be written: No space left on device")


class _BrokenIndex(Index):
    error: Exception = IndexStateError("the index is broken")

    def register(self, record, file, **arrival):
        raise type(self).error


def test_a_full_disk_is_out_of_resources(tmp_path):
    """The store's own error becomes 0xA700."""
    with (
        running_node(tmp_path / "data", make_store=_FullDisk) as node,
        association(node, storage()) as opened,
    ):
        assert store_dataset(opened, ct_dataset())[1] == 0xA700


@pytest.mark.parametrize("error", [IndexStateError("broken"), ZeroDivisionError("Zwartkijker^Ottoline")])
def test_what_could_not_be_indexed_is_not_acknowledged(tmp_path, monkeypatch, error):
    """A failure of the index is a failure of the C-STORE, also an unexpected one; its text is not told."""
    monkeypatch.setattr(_BrokenIndex, "error", error)
    with (
        running_node(tmp_path / "data", make_index=_BrokenIndex) as node,
        association(node, storage()) as opened,
    ):
        dataset = ct_dataset()
        response = store_bytes(
            opened, encode_dataset(dataset, EXPLICIT), sop_instance_uid=dataset.SOPInstanceUID
        )
        assert response.Status == 0x0110
        assert "Zwartkijker" not in response.ErrorComment
        assert node.index.stored(dataset.SOPInstanceUID) is None
        assert opened.is_established


def test_a_peer_without_the_right_cannot_store(tmp_path):
    """Neither by negotiation nor by sending in a context that was accepted for receiving only."""
    with running_node(tmp_path / "data", peers=[peer("READER", rights=("get",))]) as node:
        contexts = storage()
        with association(node, contexts, calling="READER", roles=[CT]) as opened:
            assert not opened.accepted_contexts[0].as_scu
            assert store_dataset(opened, ct_dataset())[1] == 0x0124
        assert not node.files()


def test_the_end_of_each_association_is_recorded(node):
    """Released, aborted and lost are told apart; who only asks leaves no row; the intake is called each time."""
    contexts = [*storage(), build_context(VERIFICATION, [EXPLICIT])]
    with association(node, contexts, calling="ASKS") as opened:
        assert opened.send_c_echo().Status == 0x0000
    with association(node, contexts, calling="RELEASES") as opened:
        store_dataset(opened, ct_dataset("1"))
    wait_until(lambda: len(node.changes) == 1)
    with association(node, contexts, calling="ABORTS") as opened:
        store_dataset(opened, ct_dataset("2"))
        opened.abort()
    wait_until(lambda: len(node.changes) == 2)
    with association(node, contexts, calling="VANISHES") as opened:
        store_dataset(opened, ct_dataset("3"))
        opened.dul.socket.socket.shutdown(2)
        wait_until(lambda: len(node.changes) == 3)
    assert node.outcomes() == [("RELEASES", "released"), ("ABORTS", "aborted"), ("VANISHES", "lost")]


@pytest.mark.witness
@pytest.mark.parametrize(
    ("option", "transfer_syntax_uid"),
    [("-xi", IMPLICIT), ("-xe", EXPLICIT), ("-xb", BIG_ENDIAN), ("-xd", DEFLATED)],
)
def test_dcmtk_stores_in_the_native_syntaxes(node, tmp_path, option, transfer_syntax_uid):
    """DCMTK's storescu proposes several transfer syntaxes in a context and is told one it can send."""
    dataset = ct_dataset(option)
    path = tmp_path / "one.dcm"
    path.write_bytes(part10(dataset))
    answer = subprocess.run(
        [dcmtk("storescu"), option, node.host, str(node.port), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    instance = node.index.stored(dataset.SOPInstanceUID)
    assert instance is not None
    assert instance.transfer_syntax_uid in (transfer_syntax_uid, EXPLICIT)


@pytest.mark.witness
@pytest.mark.corpus
def test_dcmtk_stores_compressed_files_as_they_are(node, corpus):
    """A compressed file of the corpus arrives with the very bytes that stand in it."""
    path = next(iter(sorted(corpus.rglob("*jpeg_lossless.70.dcm"))))
    answer = subprocess.run(
        [dcmtk("storescu"), "-xs", node.host, str(node.port), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    header = pydicom.dcmread(path, stop_before_pixels=True)
    instance = node.index.stored(header.SOPInstanceUID)
    assert instance is not None
    assert instance.transfer_syntax_uid == JPEG_LOSSLESS
    kept = pydicom.dcmread(node.store.path(instance.file.key))
    assert kept.PixelData == pydicom.dcmread(path).PixelData
