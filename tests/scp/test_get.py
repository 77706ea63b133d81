"""C-GET over real associations: the stored bytes come back as they went in."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pydicom
import pytest

from tests.scp.nodes import (
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_LOSSLESS,
    STUDY_GET,
    association,
    build_context,
    collector,
    ct_dataset,
    encode_dataset,
    peer,
    retrieve_identifier,
    running_node,
    storage,
    store_bytes,
    store_dataset,
    wait_until,
)
from tests.scp.test_store import EVERY_TRANSFER_SYNTAX
from tests.series_factory import ct_series, part10
from tests.witnesses import dcmtk

if TYPE_CHECKING:
    from pathlib import Path

GET = build_context(STUDY_GET, [EXPLICIT, IMPLICIT])
PATIENT_GET = "1.2.840.10008.5.1.4.1.2.1.3"


def _get(node, contexts, study_instance_uid, received, *, status=0x0000, calling="TESTSCU"):
    """Run a C-GET; return all (status dataset, identifier) pairs."""
    with association(
        node,
        [GET, *contexts],
        calling=calling,
        roles={str(each.abstract_syntax) for each in contexts},
        handlers=[collector(received, status)],
    ) as opened:
        return list(opened.send_c_get(retrieve_identifier(study_instance_uid), STUDY_GET))


def test_every_transfer_syntax_comes_back_byte_for_byte(node):
    """What was stored is what is got, in each transfer syntax of the standard."""
    sent = {}
    with association(node, storage(*EVERY_TRANSFER_SYNTAX)) as opened:
        for uid in EVERY_TRANSFER_SYNTAX:
            dataset = ct_dataset(uid)
            dataset.StudyInstanceUID = "2.25.77"
            sent[str(dataset.SOPInstanceUID)] = (uid, store_dataset(opened, dataset, uid)[0])
    received = {}
    responses = _get(node, storage(*EVERY_TRANSFER_SYNTAX), "2.25.77", received)
    assert received == sent
    status, _ = responses[-1]
    assert status.Status == 0x0000
    assert status.NumberOfCompletedSuboperations == len(sent)
    assert (status.NumberOfFailedSuboperations, status.NumberOfWarningSuboperations) == (0, 0)
    remaining = [each.NumberOfRemainingSuboperations for each, _ in responses[:-1]]
    assert remaining == list(range(len(sent) - 1, 0, -1))


def test_what_the_peer_does_not_take_fails_and_is_named(node):
    """No transcoding: the sub-operation fails, is counted and listed; the others go on."""
    first, second = ct_series(name="two")[:2]
    with association(node, storage(EXPLICIT, JPEG_LOSSLESS)) as opened:
        store_dataset(opened, first, JPEG_LOSSLESS)
        store_dataset(opened, second, EXPLICIT)
    received = {}
    status, identifier = _get(node, storage(EXPLICIT), first.StudyInstanceUID, received)[-1]
    assert status.Status == 0xB000
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (1, 1)
    assert identifier.FailedSOPInstanceUIDList == first.SOPInstanceUID
    assert list(received) == [second.SOPInstanceUID]


@pytest.mark.parametrize(("stored", "taken"), [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)])
def test_explicit_and_implicit_stand_in_for_each_other(node, stored, taken):
    """A peer that takes only the other little endian syntax gets the same values."""
    dataset = ct_dataset()
    with association(node, storage(stored)) as opened:
        store_dataset(opened, dataset, stored)
    received = {}
    status, _ = _get(node, storage(taken), dataset.StudyInstanceUID, received)[-1]
    assert status.Status == 0x0000
    assert received == {dataset.SOPInstanceUID: (taken, encode_dataset(dataset, taken))}


def test_failures_and_warnings_of_the_peer_are_counted(node):
    """The peer's own statuses decide: all failed is a failure, a warning is a warning."""
    dataset = ct_dataset()
    with association(node, storage()) as opened:
        store_dataset(opened, dataset)
    status, identifier = _get(node, storage(), dataset.StudyInstanceUID, {}, status=0xA700)[-1]
    assert (status.Status, status.NumberOfFailedSuboperations) == (0xA702, 1)
    assert identifier.FailedSOPInstanceUIDList == dataset.SOPInstanceUID
    status, _ = _get(node, storage(), dataset.StudyInstanceUID, {}, status=0xB000)[-1]
    assert (status.Status, status.NumberOfWarningSuboperations) == (0xB000, 1)


@pytest.mark.parametrize("damage", [lambda data: data[:-10] + bytes(10), lambda data: data[:-10], None])
def test_a_file_that_is_damaged_or_gone_fails_alone(node, damage):
    """Bytes that are not those that were acknowledged are never sent."""
    first, second = ct_series(name="two")[:2]
    with association(node, storage()) as opened:
        for dataset in (first, second):
            store_dataset(opened, dataset)
    path = node.store.path(node.index.stored(first.SOPInstanceUID).file.key)
    content = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage(content))
    received = {}
    status, identifier = _get(node, storage(), first.StudyInstanceUID, received)[-1]
    assert status.Status == 0xB000
    assert identifier.FailedSOPInstanceUIDList == first.SOPInstanceUID
    assert list(received) == [second.SOPInstanceUID]


def test_nothing_found_is_success(node):
    """An unknown study: no sub-operations, success (PS3.4 C.4.3.3.1)."""
    ((status, _),) = _get(node, storage(), "2.25.404", {})
    assert (status.Status, status.NumberOfCompletedSuboperations) == (0x0000, 0)


def test_a_cancel_ends_it_between_two(node):
    """0xFE00 with what remains, and the association still works."""
    datasets = ct_series(name="many")
    with association(node, storage()) as opened:
        for dataset in datasets:
            store_dataset(opened, dataset)
    received = {}
    with association(node, [GET, *storage()], roles=[CT], handlers=[collector(received)]) as opened:
        responses = []
        for status, identifier in opened.send_c_get(
            retrieve_identifier(datasets[0].StudyInstanceUID), STUDY_GET, msg_id=7
        ):
            if not responses:
                opened.send_c_cancel(7, query_model=STUDY_GET)
            responses.append((status, identifier))
        final, _ = responses[-1]
        assert final.Status == 0xFE00
        assert 0 < final.NumberOfRemainingSuboperations < len(datasets)
        assert final.NumberOfCompletedSuboperations == len(received)
        received.clear()
        again = list(
            opened.send_c_get(retrieve_identifier(datasets[0].StudyInstanceUID), STUDY_GET, msg_id=7)
        )
        assert again[-1][0].Status == 0x0000
        assert len(received) == len(datasets)


def test_a_peer_without_the_right_cannot_get(tmp_path):
    """The query model is not accepted; where it is for others, the peer's storage contexts have no SCP role."""
    with (
        running_node(tmp_path / "data", peers=[peer("SENDER", rights=("store",))]) as node,
        association(node, [GET, *storage()], calling="SENDER") as opened,
    ):
        assert [each.abstract_syntax for each in opened.accepted_contexts] == [CT]


def test_a_peer_that_vanishes_in_the_middle_hurts_nobody(node):
    """The node finishes with it and goes on answering others."""
    datasets = ct_series(name="many")
    with association(node, storage()) as opened:
        for dataset in datasets:
            store_dataset(opened, dataset)
    with association(node, [GET, *storage()], roles=[CT], handlers=[collector({})]) as opened:
        for _ in opened.send_c_get(retrieve_identifier(datasets[0].StudyInstanceUID), STUDY_GET):
            opened.abort()
            break
    wait_until(lambda: not node.node._server.associations())
    received = {}
    assert _get(node, storage(), datasets[0].StudyInstanceUID, received)[-1][0].Status == 0x0000
    assert len(received) == len(datasets)


_STUDY_AND_SERIES = b"\x20\x00\x0d\x00UI\x06\x002.25.1" + b"\x20\x00\x0e\x00UI\x06\x002.25.2"


def _one_of_each_transfer_syntax(corpus: Path) -> list[tuple[str, str, str, bytes]]:
    """SOP class, SOP instance, transfer syntax and data set of a well-formed file for each syntax of the corpus."""
    found: dict[str, tuple[str, str, str, bytes]] = {}
    for line in (corpus / "INDEX.tsv").read_text().splitlines()[1:]:
        name, group, _, _, sop_class_uid, transfer_syntax_uid, *_ = columns = line.split("\t")
        sop_instance_uid = columns[12]
        is_taken = sop_instance_uid in {each[1] for each in found.values()}
        if group == "malformed" or not sop_instance_uid or transfer_syntax_uid in found or is_taken:
            continue
        content = (corpus / name).read_bytes()
        start = 132 + 12 + int.from_bytes(content[140:144], "little")
        dataset = content[start:]
        if not columns[9]:  # some samples are of no study; these are all explicit VR little endian
            dataset = dataset.replace(b"\x28\x00\x02\x00US", _STUDY_AND_SERIES + b"\x28\x00\x02\x00US", 1)
        found[transfer_syntax_uid] = (sop_class_uid, sop_instance_uid, transfer_syntax_uid, dataset)
    return list(found.values())


@pytest.mark.corpus
def test_real_data_sets_come_back_byte_for_byte(node, corpus):
    """What scanners and converters wrote, in each transfer syntax of the corpus."""
    samples = _one_of_each_transfer_syntax(corpus)
    assert len(samples) > 8
    contexts = [build_context(sop_class_uid, [uid]) for sop_class_uid, _, uid, _ in samples]
    with association(node, contexts) as opened:
        for sop_class_uid, sop_instance_uid, uid, dataset in samples:
            response = store_bytes(
                opened,
                dataset,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=uid,
            )
            assert response.Status == 0x0000, uid
    received = {}
    for study in {node.index.stored(uid).study_instance_uid for _, uid, _, _ in samples}:
        assert _get(node, contexts, study, received)[-1][0].Status == 0x0000
    assert received == {uid: (syntax, dataset) for _, uid, syntax, dataset in samples}


@pytest.mark.witness
@pytest.mark.parametrize(
    ("option", "transfer_syntax_uid"),
    [("+xd", DEFLATED), ("+xe", EXPLICIT), ("+xs", JPEG_LOSSLESS), ("+xr", "1.2.840.10008.1.2.5")],
)
def test_dcmtk_gets_the_same_data_set(node, tmp_path, option, transfer_syntax_uid):
    """DCMTK's getscu writes what it received bit by bit; every element is the one that was stored."""
    dataset = ct_dataset(option)
    with association(node, storage(transfer_syntax_uid)) as opened:
        encoded, _ = store_dataset(opened, dataset, transfer_syntax_uid)
    folder: Path = tmp_path / "got"
    folder.mkdir()
    command = [
        *(
            dcmtk("getscu"),
            "-S",
            option,
            "--bit-preserving",
            "-od",
            str(folder),
            "-k",
            "QueryRetrieveLevel=STUDY",
        ),
        *("-k", f"StudyInstanceUID={dataset.StudyInstanceUID}", node.host, str(node.port)),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    (path,) = folder.iterdir()
    assert path.read_bytes().endswith(encoded)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == transfer_syntax_uid


def test_part10_of_the_factory_is_what_is_sent():
    """The factory's file and the encoder of these tests agree on the bytes of a data set."""
    dataset = ct_dataset()
    assert part10(dataset).endswith(encode_dataset(dataset, EXPLICIT))


def test_a_patient_called_by_asterisks_comes_back_alone(node):
    """A Patient ID of asterisks is no wildcard: it gets the patient of that ID and nobody else."""
    starred, other = ct_series(name="starred")[0], ct_series(name="plain")[0]
    starred.PatientID = "***"
    with association(node, storage()) as opened:
        for dataset in (starred, other):
            store_dataset(opened, dataset)
    identifier = pydicom.Dataset()
    identifier.QueryRetrieveLevel = "PATIENT"
    identifier.PatientID = "***"
    received = {}
    contexts = [build_context(PATIENT_GET, [EXPLICIT]), *storage()]
    with association(node, contexts, roles={CT}, handlers=[collector(received)]) as opened:
        responses = list(opened.send_c_get(identifier, PATIENT_GET))
    assert list(received) == [starred.SOPInstanceUID]
    assert responses[-1][0].Status == 0x0000
