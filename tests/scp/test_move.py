"""C-MOVE over real associations: from one node to another, and to DCMTK."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from socket import create_connection, create_server

import pytest
from pynetdicom import AE, evt

from scp.send import plan_batches
from scp.status import Outcome
from tests.scp.nodes import (
    CT,
    EXPLICIT,
    IMPLICIT,
    JPEG_LOSSLESS,
    STUDY_FIND,
    STUDY_MOVE,
    association,
    build_context,
    collector,
    ct_dataset,
    peer,
    retrieve_identifier,
    running_node,
    storage,
    store_dataset,
)
from tests.scp.test_retrieve import _done
from tests.scp.test_store import EVERY_TRANSFER_SYNTAX
from tests.series_factory import ct_series
from tests.witnesses import dcmtk

MOVE = build_context(STUDY_MOVE, [EXPLICIT, IMPLICIT])


def _free_port() -> int:
    with create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


@contextmanager
def _pair(tmp_path):
    """A node that knows TESTSCU and the destination NODEB, and node B itself."""
    with (
        running_node(tmp_path / "b", ae_title="NODEB") as destination,
        running_node(
            tmp_path / "a",
            peers=[
                peer("TESTSCU"),
                peer("NODEB", port=destination.port, rights=()),
                peer("NOPORT"),
                peer("DEAD", port=_free_port()),
                peer("READER", rights=("find", "store")),
            ],
        ) as source,
    ):
        yield source, destination


def _move(node, study_instance_uid, destination="NODEB", *, calling="TESTSCU"):
    with association(node, [MOVE], calling=calling) as opened:
        return list(opened.send_c_move(retrieve_identifier(study_instance_uid), destination, STUDY_MOVE))


def test_every_transfer_syntax_arrives_byte_for_byte(tmp_path):
    """What the first node stored is what the second one has."""
    with _pair(tmp_path) as (source, destination):
        sent = {}
        with association(source, storage(*EVERY_TRANSFER_SYNTAX)) as opened:
            for uid in EVERY_TRANSFER_SYNTAX:
                dataset = ct_dataset(uid)
                dataset.StudyInstanceUID = "2.25.77"
                sent[str(dataset.SOPInstanceUID)] = store_dataset(opened, dataset, uid)[0]
        responses = _move(source, "2.25.77")
        assert {uid: destination.dataset(uid) for uid in sent} == sent
        status, _ = responses[-1]
        assert (status.Status, status.NumberOfCompletedSuboperations) == (0x0000, len(sent))
        assert "NumberOfRemainingSuboperations" not in status
        remaining = [each.NumberOfRemainingSuboperations for each, _ in responses[:-1]]
        assert remaining == list(range(len(sent) - 1, 0, -1))


@pytest.mark.parametrize("destination", ["NOBODY", "NOPORT"])
def test_an_unknown_destination_is_told(tmp_path, destination):
    """Only configured peers with a port are sent to: 0xA801."""
    dataset = ct_dataset()
    with _pair(tmp_path) as (source, _):
        with association(source, storage()) as opened:
            store_dataset(opened, dataset)
        ((status, _),) = _move(source, dataset.StudyInstanceUID, destination)
        assert status.Status == 0xA801


def test_a_dead_destination_fails_every_sub_operation(tmp_path):
    """Known but not there: all failed, all named."""
    datasets = ct_series(name="three")[:3]
    with _pair(tmp_path) as (source, _):
        with association(source, storage()) as opened:
            for dataset in datasets:
                store_dataset(opened, dataset)
        status, identifier = _move(source, datasets[0].StudyInstanceUID, "DEAD")[-1]
        assert (status.Status, status.NumberOfFailedSuboperations) == (0xA702, 3)
        assert set(identifier.FailedSOPInstanceUIDList) == {each.SOPInstanceUID for each in datasets}


def test_a_peer_without_the_right_cannot_move(tmp_path):
    """Its context is not accepted, and it gets no other way in."""
    with _pair(tmp_path) as (source, _):
        contexts = [MOVE, build_context(STUDY_FIND, [EXPLICIT])]
        with association(source, contexts, calling="READER") as opened:
            assert [each.abstract_syntax for each in opened.accepted_contexts] == [STUDY_FIND]


@contextmanager
def _stock_scp(transfer_syntaxes, handlers):
    """pynetdicom's own storage SCP."""
    ae = AE(ae_title="STOCK")
    ae.add_supported_context(CT, transfer_syntaxes)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def test_the_originator_is_told_to_the_destination(tmp_path):
    """Move Originator is who asked us and its Message ID (PS3.7 9.1.1.1.7), the destination's title is called."""
    heard = []

    def listen(event):
        request = event.request
        heard.append(
            (request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID, request.Priority)
        )
        return 0x0000

    dataset = ct_dataset()
    with (
        _stock_scp([EXPLICIT], [(evt.EVT_C_STORE, listen)]) as port,
        running_node(tmp_path / "a", peers=[peer("TESTSCU"), peer("STOCK", port=port)]) as source,
        association(source, [*storage(), MOVE]) as opened,
    ):
        store_dataset(opened, dataset)
        responses = opened.send_c_move(
            retrieve_identifier(dataset.StudyInstanceUID), "STOCK", STUDY_MOVE, msg_id=4711
        )
        assert [status.Status for status, _ in responses] == [0x0000]
    assert heard == [("TESTSCU", 4711, 0)]


def test_a_destination_that_takes_another_encoding(tmp_path):
    """Implicit where it must be, a failure where only decoding would help."""
    first, second = ct_series(name="two")[:2]
    received = {}
    with (
        _stock_scp([IMPLICIT], [collector(received)]) as port,
        running_node(tmp_path / "a", peers=[peer("TESTSCU"), peer("STOCK", port=port)]) as source,
    ):
        with association(source, [*storage(EXPLICIT, JPEG_LOSSLESS), MOVE]) as opened:
            store_dataset(opened, first, EXPLICIT)
            store_dataset(opened, second, JPEG_LOSSLESS)
        status, identifier = _move(source, first.StudyInstanceUID, "STOCK")[-1]
    assert (status.Status, status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (
        0xB000,
        1,
        1,
    )
    assert identifier.FailedSOPInstanceUIDList == second.SOPInstanceUID
    assert received[first.SOPInstanceUID][0] == IMPLICIT


def test_a_cancel_ends_it_and_releases_the_destination(tmp_path):
    """0xFE00 with what remains; the destination's association is released, not dropped."""
    datasets = ct_series(name="many")
    ends = []

    def slow(event):
        time.sleep(0.05)
        return 0x0000

    handlers = [(evt.EVT_C_STORE, slow), (evt.EVT_RELEASED, ends.append)]
    with (
        _stock_scp([EXPLICIT], handlers) as port,
        running_node(tmp_path / "a", peers=[peer("TESTSCU"), peer("STOCK", port=port)]) as source,
    ):
        with association(source, [*storage(), MOVE]) as opened:
            for dataset in datasets:
                store_dataset(opened, dataset)
            statuses = []
            for status, _ in opened.send_c_move(
                retrieve_identifier(datasets[0].StudyInstanceUID), "STOCK", STUDY_MOVE, msg_id=7
            ):
                if not statuses:
                    opened.send_c_cancel(7, query_model=STUDY_MOVE)
                statuses.append(status)
        final = statuses[-1]
        assert final.Status == 0xFE00
        assert final.NumberOfRemainingSuboperations > 0
        assert final.NumberOfRemainingSuboperations + final.NumberOfCompletedSuboperations == len(datasets)
    assert len(ends) == 1


def test_more_than_128_contexts_take_several_associations(tmp_path):
    """140 SOP classes in one study: two associations, every instance arrives."""
    with _pair(tmp_path) as (source, destination):
        datasets = []
        for number in range(140):
            dataset = ct_dataset(f"class {number}")
            dataset.SOPClassUID = f"2.25.{1000 + number}"
            dataset.StudyInstanceUID = "2.25.78"
            datasets.append(dataset)
        for some in (datasets[:70], datasets[70:]):
            contexts = [build_context(each.SOPClassUID, [JPEG_LOSSLESS]) for each in some]
            with association(source, contexts) as opened:
                for dataset in some:
                    assert store_dataset(opened, dataset, JPEG_LOSSLESS)[1] == 0x0000
        status, _ = _move(source, "2.25.78")[-1]
        assert (status.Status, status.NumberOfCompletedSuboperations) == (0x0000, 140)
        assert len(destination.files()) == 140
        assert len(destination.outcomes()) == 2


def test_batches_keep_the_order_and_the_limit():
    """Instances of one kind stay together; explicit and implicit need two contexts each."""
    instances = [_done(Outcome.COMPLETED, number).instance for number in range(4)]
    ((contexts, batch),) = plan_batches(instances)
    assert batch == instances
    assert [list(each.transfer_syntax) for each in contexts] == [[EXPLICIT], [IMPLICIT]]
    assert plan_batches([]) == []


@pytest.mark.witness
def test_dcmtk_receives_the_same_bytes(tmp_path):
    """DCMTK's storescp, writing bit by bit, receives what movescu asked for."""
    folder = tmp_path / "received"
    folder.mkdir()
    port = _free_port()
    command = [dcmtk("storescp"), "+xa", "--bit-preserving", "-aet", "DCMTK", "-od", str(folder), str(port)]
    receiver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for_port(port)
        with running_node(tmp_path / "a", peers=[peer("MOVESCU"), peer("DCMTK", port=port)]) as source:
            sent = []
            with association(source, storage(EXPLICIT, JPEG_LOSSLESS), calling="MOVESCU") as opened:
                for dataset, uid in zip(ct_series(name="two")[:2], (EXPLICIT, JPEG_LOSSLESS), strict=True):
                    sent.append(store_dataset(opened, dataset, uid)[0])
            asker = [
                dcmtk("movescu"),
                "-S",
                "-aec",
                "DARKROOM",
                "-aem",
                "DCMTK",
                "-k",
                "QueryRetrieveLevel=STUDY",
            ]
            answer = subprocess.run(
                [*asker, "-k", f"StudyInstanceUID={dataset.StudyInstanceUID}", source.host, str(source.port)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert answer.returncode == 0, answer.stderr
        contents = [path.read_bytes() for path in folder.iterdir()]
        assert all(any(each.endswith(data) for each in contents) for data in sent)
    finally:
        receiver.terminate()
        receiver.wait(10)


def _wait_for_port(port: int) -> None:
    for _ in range(200):
        try:
            create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the receiver never listened")
