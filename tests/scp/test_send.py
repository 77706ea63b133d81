"""Sending on an operator's word: to whom, what, and what is told when it does not work."""

from __future__ import annotations

import time
from socket import create_server

import pytest
from pynetdicom import AE, evt

from config.settings import Network
from db.records import StoredInstance
from db.store import Store
from scp.caller import Caller
from scp.contexts import build_context
from scp.errors import AssociationError, ContextError, ResponseError
from scp.peers import Destination
from scp.request import echo_peer
from scp.send import choose_context, read_to_send, send_instances
from scp.status import Outcome
from tests.scp.nodes import (
    CT,
    EXPLICIT,
    IMPLICIT,
    JPEG_LOSSLESS,
    VERIFICATION,
    RunningNode,
    association,
    encode_dataset,
    peer,
    running_node,
    storage,
    store_dataset,
)
from tests.scp.test_retrieve import _done
from tests.series_factory import ct_series

NETWORK = Network(acse_timeout_s=5.0, dimse_timeout_s=2.0)


def _caller(ae_title: str = "DARKROOM") -> Caller:
    return Caller(ae_title, NETWORK)


def _destination(node: RunningNode, ae_title: str = "DARKROOM") -> Destination:
    return Destination(ae_title=ae_title, host=node.host, port=node.port)


def _nobody() -> Destination:
    with create_server(("127.0.0.1", 0)) as opened:
        return Destination(ae_title="NOBODY", host="127.0.0.1", port=opened.getsockname()[1])


def _stored(node: RunningNode, count: int):
    datasets = ct_series(name="sent")[:count]
    with association(node, storage()) as opened:
        for dataset in datasets:
            store_dataset(opened, dataset)
    return [node.index.stored(each.SOPInstanceUID) for each in datasets]


def test_instances_arrive_and_their_statuses_come_back(tmp_path):
    """Sent in order, the peer's status for each; a second time it is the same again."""
    with running_node(tmp_path / "a") as source, running_node(tmp_path / "b") as destination:
        instances = _stored(source, 3)
        for _ in range(2):
            done = list(
                send_instances(_destination(destination), instances, store=source.store, caller=_caller())
            )
            assert [(each.instance, each.outcome, each.code) for each in done] == [
                (each, Outcome.COMPLETED, 0x0000) for each in instances
            ]
        for each in instances:
            assert destination.dataset(each.sop_instance_uid) == source.store.read_dataset(each)


def test_nobody_there_fails_every_instance_with_a_reason(node):
    """No exception in the middle of a list: each instance has its result."""
    done = list(send_instances(_nobody(), _stored(node, 2), store=node.store, caller=_caller()))
    assert [(each.outcome, each.code) for each in done] == [(Outcome.FAILED, None)] * 2
    assert all("NOBODY cannot be reached" in each.reason for each in done)


def test_a_host_that_cannot_be_resolved_is_a_reason(node):
    """The name server's answer is the peer's fault, not ours."""
    destination = Destination(ae_title="LOST", host="no-such-host.invalid", port=104)
    (done,) = send_instances(destination, _stored(node, 1), store=node.store, caller=_caller())
    assert done.reason == "LOST cannot be reached"


def test_a_peer_that_dies_in_the_middle_fails_the_rest(node):
    """What was acknowledged counts, what was not failed, and nothing waits for ever."""
    count = 0

    def die(event: evt.Event) -> int:
        nonlocal count
        count += 1
        if count == 2:
            event.assoc.abort()
        return 0x0000

    ae = AE()
    ae.add_supported_context(CT, EXPLICIT)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, die)])
    try:
        destination = Destination(ae_title="DIES", host="127.0.0.1", port=server.server_address[1])
        done = list(send_instances(destination, _stored(node, 3), store=node.store, caller=_caller()))
    finally:
        server.shutdown()
    assert [each.outcome for each in done] == [Outcome.COMPLETED, Outcome.FAILED, Outcome.FAILED]
    assert all(each.reason for each in done[1:])


def test_a_peer_that_never_answers_meets_the_deadline(node):
    """The association is aborted after the DIMSE time, and the instance failed."""

    def sleep(event: evt.Event) -> int:
        time.sleep(3)
        return 0x0000

    ae = AE()
    ae.add_supported_context(CT, EXPLICIT)
    handlers = [(evt.EVT_C_STORE, sleep)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        destination = Destination(ae_title="MUTE", host="127.0.0.1", port=server.server_address[1])
        (done,) = send_instances(destination, _stored(node, 1), store=node.store, caller=_caller())
    finally:
        server.shutdown()
    assert (done.outcome, done.reason) == (Outcome.FAILED, "The peer did not answer in time")


def test_the_stored_syntax_is_chosen_before_its_alternative():
    """As it is stored, or Explicit and Implicit for each other, or not at all."""

    def accepted(transfer_syntax_uid: str, *, as_scu: bool = True):
        context = build_context(_done(Outcome.COMPLETED).instance.sop_class_uid, [transfer_syntax_uid])
        context._as_scu = as_scu
        return context

    instance = _done(Outcome.COMPLETED).instance  # stored as Explicit VR Little Endian
    both = [accepted(IMPLICIT), accepted(EXPLICIT)]
    assert choose_context(both, instance) is both[1]
    assert choose_context(both[:1], instance) is both[0]
    with pytest.raises(ContextError, match="transfer syntax"):
        choose_context([accepted(JPEG_LOSSLESS)], instance)
    with pytest.raises(ContextError, match="SOP class"):
        choose_context([accepted(EXPLICIT, as_scu=False)], instance)
    with pytest.raises(ContextError, match="SOP class"):
        choose_context([build_context(CT, [EXPLICIT])], instance)


def test_an_echo_is_heard_or_the_reason_is_told(tmp_path):
    """There, not there, rejected, not offered."""
    with running_node(tmp_path / "data", peers=[peer("DARKROOM"), peer("STORER", rights=("store",))]) as node:
        echo_peer(_destination(node), _caller())
        with pytest.raises(AssociationError, match="does not know our AE title"):
            echo_peer(_destination(node), _caller("STRANGER"))
        with pytest.raises(AssociationError, match="not called by that AE title"):
            echo_peer(_destination(node, "OTHER"), _caller())
        with pytest.raises(AssociationError, match="accepted none"):
            echo_peer(_destination(node), _caller("STORER"))
    with pytest.raises(AssociationError, match="cannot be reached"):
        echo_peer(_nobody(), _caller())


def test_a_failed_echo_is_told():
    """A status other than success is an error with its code."""
    ae = AE()
    ae.add_supported_context(VERIFICATION)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0x0122)])
    try:
        destination = Destination(ae_title="NO", host="127.0.0.1", port=server.server_address[1])
        with pytest.raises(ResponseError) as caught:
            echo_peer(destination, _caller())
    finally:
        server.shutdown()
    assert caught.value.code == 0x0122


def test_an_odd_data_set_is_sent_even(tmp_path):
    """A data set that breaks the rule of even lengths goes out with one byte more, behind its last value."""
    dataset = ct_series(name="odd")[0]
    content = encode_dataset(dataset, EXPLICIT)[:-1]
    store = Store(tmp_path)
    store.prepare()
    file = store.put(
        content,
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        transfer_syntax_uid=EXPLICIT,
    )
    instance = StoredInstance(
        instance_id=1,
        sop_instance_uid=dataset.SOPInstanceUID,
        sop_class_uid=dataset.SOPClassUID,
        transfer_syntax_uid=EXPLICIT,
        file=file,
    )
    assert store.read_dataset(instance) == content
    assert read_to_send(store, instance, EXPLICIT) == content + b"\0"
