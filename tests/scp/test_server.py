"""The node on the network: admission, limits, hostile bytes, and an orderly end."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
import time
from io import BytesIO

import pytest
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import StoragePresentationContexts

from db import part10
from db.store import Store
from processing import deidentify
from tests.scp.nodes import (
    CT,
    EXPLICIT,
    VERIFICATION,
    association,
    build_context,
    ct_dataset,
    encode_dataset,
    peer,
    request_association,
    running_node,
    storage,
    store_dataset,
    wait_until,
)
from tests.witnesses import dcmtk

ECHO = build_context(VERIFICATION, [EXPLICIT])


def _echo(node) -> bool:
    with association(node, [ECHO], calling="OTHER") as opened:
        return opened.send_c_echo().Status == 0x0000


@pytest.mark.witness
@pytest.mark.parametrize("called", ["ANY-SCP", "DARKROOM"])
def test_dcmtk_hears_an_echo(node, called):
    """A fresh node answers DCMTK's echoscu by whatever name it calls."""
    command = [dcmtk("echoscu"), "-aec", called, node.host, str(node.port)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("calling", "called", "diagnostic"), [("STRANGER", "DARKROOM", 3), ("KNOWN", "ANY-SCP", 7)]
)
def test_a_stranger_is_rejected_with_the_reason(tmp_path, calling, called, diagnostic):
    """Rejected permanently, by the service user, with the title that was wrong (PS3.8 Table 9-21)."""
    with running_node(tmp_path / "data", peers=[peer("KNOWN")]) as node:
        opened = request_association(node, [ECHO], calling=calling, called=called)
        answer = opened.acceptor.primitive
        assert opened.is_rejected
        assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, diagnostic)
        wait_until(lambda: not node.node._server.associations())


def test_too_many_associations_are_told_to_come_again(tmp_path):
    """Rejected transient, local limit exceeded; the ones that are there go on."""
    with running_node(tmp_path / "data", network={"max_associations": 2}) as node:
        opened = [request_association(node, [ECHO]) for _ in range(2)]
        refused = request_association(node, [ECHO])
        answer = refused.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        assert [each.send_c_echo().Status for each in opened] == [0, 0]
        for each in opened:
            each.release()
        wait_until(lambda: not node.node._server.associations())
        assert _echo(node)


def test_an_association_with_128_contexts_is_quick(node):
    """Echo beside 127 storage contexts takes well under a second."""
    contexts = [ECHO, *StoragePresentationContexts[:127]]
    started = time.monotonic()
    with association(node, contexts) as opened:
        assert len(opened.accepted_contexts) == len(contexts) > 120
        assert opened.send_c_echo().Status == 0x0000
    assert time.monotonic() - started < 2


def test_a_node_listens_on_ipv6(tmp_path):
    """The loopback of IPv6 is a loopback like the other."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    with running_node(tmp_path / "data", host="::1") as node:
        assert node.host == "::1"
        assert _echo(node)


def test_both_ends_send_without_delay(node):
    """Nagle's algorithm is off on the accepted socket."""
    with association(node, [ECHO]):
        (accepted,) = node.node._server.associations()
        wrapped = accepted.dul.socket.socket
        assert wrapped.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_announced_pdu_length_is_the_setting(node):
    """131,072 bytes are announced."""
    with association(node, [ECHO]) as opened:
        assert opened.acceptor.maximum_length == 131072


def test_the_network_names_the_implementation_that_the_files_name(node):
    """Acceptor, stored files and de-identified copies carry one implementation class UID and version name."""
    named = (deidentify.IMPLEMENTATION_CLASS_UID, deidentify.IMPLEMENTATION_VERSION_NAME)
    assert named == (part10.IMPLEMENTATION_CLASS_UID, part10.IMPLEMENTATION_VERSION_NAME)
    with association(node, [ECHO]) as opened:
        acceptor = opened.acceptor
        assert (acceptor.implementation_class_uid, acceptor.implementation_version_name) == named


def test_a_data_set_above_the_limit_ends_the_association(tmp_path):
    """What is too large is not collected in memory: A-ABORT, no file, and others are served."""
    with running_node(tmp_path / "data", network={"max_dataset_bytes": 200_000}) as node:
        opened = request_association(node, storage())
        request = C_STORE()
        request.MessageID = 1
        request.AffectedSOPClassUID = UID(CT)
        request.AffectedSOPInstanceUID = UID("2.25.1")
        request.DataSet = BytesIO(bytes(1_000_000))
        opened.dimse.send_msg(request, 1)
        wait_until(lambda: opened.is_aborted)
        assert not node.files()
        assert _echo(node)


def _association_request() -> bytes:
    """An A-ASSOCIATE-RQ for Verification, by hand (PS3.8 9.3.2)."""

    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(content)) + content

    context = item(0x20, b"\x01\0\0\0" + item(0x30, VERIFICATION.encode()) + item(0x40, b"1.2.840.10008.1.2"))
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"2.25.5"))
    body = struct.pack(">HH16s16s32s", 1, 0, b"ANY-SCP".ljust(16), b"RAW".ljust(16), bytes(32))
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + context + user
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _read_all(opened: socket.socket) -> bytes:
    received = b""
    opened.settimeout(15)
    try:
        while chunk := opened.recv(4096):
            received += chunk
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    ("established", "hostile"),
    [
        (False, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (False, b"\x01\0\xff\xff\xff\xff" + bytes(100)),
        (False, b"\x01\0\0\0\0\x04abcd"),
        (False, b"\x04\0\0\0\0\x0c" + bytes(12)),
        (True, b"\x04\0\xff\xff\xff\xff"),
        (True, b"\x04\0\0\0\0\x06\0\0\0\x02\x01\x03"),  # a command of no bytes
        (True, b"\x04\0\0\0\0\x05\0\0\0\x01\x01"),  # a fragment without a header
        (True, b"\x04\0\0\0\0\x0a\0\0\0\x06\x01\x03\xff\xff\xff\xff"),
        (True, b"\x99\0\0\0\0\x04abcd"),
        (True, _association_request()),
    ],
)
def test_hostile_bytes_end_their_own_association_only(node, established, hostile):
    """The connection is closed, with an A-ABORT where there was an association, and the node goes on."""
    with socket.create_connection((node.host, node.port), 5) as opened:
        if established:
            opened.sendall(_association_request())
            assert opened.recv(4096)[0] == 0x02
        opened.sendall(hostile)
        received = _read_all(opened)
        if established:
            assert received[:1] == b"\x07"
    wait_until(lambda: not node.node._server.associations())
    assert _echo(node)


@pytest.mark.parametrize("beginning", [b"", b"\x01", _association_request()[:40]])
def test_a_silent_connection_meets_its_deadline(tmp_path, beginning):
    """Who says nothing, or stops in the middle, is let go; others are served meanwhile."""
    with running_node(tmp_path / "data", network={"acse_timeout_s": 1.0, "dimse_timeout_s": 1.0}) as node:
        with socket.create_connection((node.host, node.port), 5) as opened:
            opened.sendall(beginning)
            assert _echo(node)
            _read_all(opened)
        wait_until(lambda: not node.node._server.associations())


def test_a_peer_that_stops_in_the_middle_of_a_pdu_meets_its_deadline(tmp_path):
    """Half a P-DATA is no way to hold an association for ever."""
    with running_node(tmp_path / "data", network={"dimse_timeout_s": 1.0}) as node:
        with socket.create_connection((node.host, node.port), 5) as opened:
            opened.sendall(_association_request())
            assert opened.recv(4096)[0] == 0x02
            opened.sendall(b"\x04\0\0\0\x01\0" + bytes(10))
            assert _read_all(opened)[:1] == b"\x07"
        wait_until(lambda: not node.node._server.associations())


def test_an_idle_association_is_ended(tmp_path):
    """Who opens an association and does nothing is aborted after the idle time."""
    with running_node(tmp_path / "data", network={"idle_timeout_s": 1.0}) as node:
        opened = request_association(node, [ECHO])
        wait_until(lambda: opened.is_aborted)


def test_a_connection_that_only_closes_leaves_at_once(node):
    """A port check does not hold a place until the deadline."""
    socket.create_connection((node.host, node.port), 5).close()
    wait_until(lambda: not node.node._server.associations(), 5)


class _SlowStore(Store):
    """Holds a C-STORE between its bytes and its row, until the test lets it go."""

    entered = threading.Event()
    go_on = threading.Event()

    def put(self, dataset, **uids):
        type(self).entered.set()
        type(self).go_on.wait(10)
        return super().put(dataset, **uids)


@pytest.fixture
def slow(tmp_path):
    _SlowStore.entered.clear()
    _SlowStore.go_on.clear()
    with running_node(tmp_path / "data", make_store=_SlowStore) as node:
        yield node
    _SlowStore.go_on.set()


def _listens(node) -> bool:
    try:
        socket.create_connection((node.host, node.port), 2).close()
    except OSError:
        return False
    return True


def _send_in_background(opened, dataset):
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = UID(CT)
    request.AffectedSOPInstanceUID = dataset.SOPInstanceUID
    request.DataSet = BytesIO(encode_dataset(dataset, EXPLICIT))
    opened._reactor_checkpoint.clear()
    opened.dimse.send_msg(request, 1)


def test_stop_lets_a_transfer_finish(slow):
    """Within the grace a C-STORE in hand is kept and acknowledged, and nobody new comes in."""
    opened = request_association(slow, storage())
    dataset = ct_dataset()
    _send_in_background(opened, dataset)
    assert _SlowStore.entered.wait(5)
    stopper = threading.Thread(target=slow.node.stop, args=(10.0,))
    stopper.start()
    wait_until(lambda: not slow.node.is_alive() and not _listens(slow))
    _SlowStore.go_on.set()
    _, response = opened.dimse.get_msg(block=True)
    assert response.Status == 0x0000
    opened._reactor_checkpoint.set()
    opened.release()
    stopper.join(10)
    assert not stopper.is_alive()
    assert slow.index.stored(dataset.SOPInstanceUID) is not None
    assert slow.outcomes() == [("TESTSCU", "released")]


def test_stop_aborts_what_does_not_finish(slow):
    """After the grace the association is aborted; what was not acknowledged may be kept, and nothing is half there."""
    opened = request_association(slow, storage())
    dataset = ct_dataset()
    _send_in_background(opened, dataset)
    assert _SlowStore.entered.wait(5)
    stopper = threading.Thread(target=slow.node.stop, args=(0.1,))
    stopper.start()
    _, response = opened.dimse.get_msg(block=True)
    assert response is None  # aborted, not acknowledged
    _SlowStore.go_on.set()
    stopper.join(10)
    assert not stopper.is_alive()
    assert not slow.node._server.associations()
    instance = slow.index.stored(dataset.SOPInstanceUID)
    assert instance is None or slow.store.read_dataset(instance) == encode_dataset(dataset, EXPLICIT)
    assert slow.outcomes() == [("TESTSCU", "aborted")]
    opened._reactor_checkpoint.set()


def test_stop_without_associations_is_at_once(node):
    """The grace is only for those who are there."""
    with association(node, storage()) as opened:
        store_dataset(opened, ct_dataset())
    started = time.monotonic()
    node.node.stop(20)
    node.node.stop(20)
    assert time.monotonic() - started < 5
    assert not node.node.is_alive()


def test_peers_are_served_side_by_side(tmp_path):
    """One peer's slow disk does not keep another from its echo."""
    _SlowStore.entered.clear()
    _SlowStore.go_on.clear()
    with running_node(tmp_path / "data", make_store=_SlowStore) as node:
        opened = request_association(node, storage())
        _send_in_background(opened, ct_dataset())
        assert _SlowStore.entered.wait(5)
        started = time.monotonic()
        assert _echo(node)
        assert time.monotonic() - started < 2
        _SlowStore.go_on.set()
        _, response = opened.dimse.get_msg(block=True)
        assert response.Status == 0x0000
        opened._reactor_checkpoint.set()
        opened.release()
