"""The reactor stands still from the moment that `clear` returns, whatever happened just before."""

from __future__ import annotations

import threading

from scp.checkpoint import Checkpoint
from scp.transport import Limits, NodeAE

PATIENCE_S = 20.0


class Reactor(threading.Thread):
    """Passes its checkpoint again and again, and says when it is beyond it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.checkpoint: threading.Event = Checkpoint(self)
        self.is_beyond = False
        self.passages = 0
        self.is_done = False

    def run(self) -> None:
        while not self.is_done:
            self.checkpoint.wait()
            self.is_beyond = True
            self.passages += 1
            threading.Event().wait(0.0005)  # as one turn of pynetdicom's loop takes
            self.is_beyond = False


def test_nobody_is_beyond_a_cleared_checkpoint():
    """Opened and closed a thousand times at once: after each closing the reactor stands still."""
    reactor = Reactor()
    reactor.start()
    for _ in range(1000):
        reactor.checkpoint.set()
        reactor.checkpoint.clear()
        passages = reactor.passages
        assert not reactor.is_beyond
        threading.Event().wait(0.0001)
        assert reactor.passages == passages, "it was woken before the closing and ran after it"
    reactor.is_done = True
    reactor.checkpoint.set()
    reactor.join(PATIENCE_S)
    assert reactor.passages


def test_a_dead_reactor_is_not_waited_for():
    """Whoever stops a reactor that has ended, or is the reactor, goes on at once."""
    reactor = Reactor()
    reactor.checkpoint.clear()
    assert not reactor.checkpoint.is_set()
    own = Checkpoint(threading.current_thread())
    own.set()
    own.clear()
    assert not own.wait(0.001)


def test_associations_that_the_node_requests_have_it(node):
    """What the node requests of others runs with this checkpoint in place of pynetdicom's event."""
    limits = Limits.of(pdu_timeout_s=5, announced_pdu_bytes=16384, most_dataset_bytes=1 << 20)
    ae = NodeAE("US", limits)
    ae.add_requested_context("1.2.840.10008.1.1")
    association = ae.associate(node.host, node.port)
    assert association.is_established
    assert isinstance(association._reactor_checkpoint, Checkpoint)
    assert association.send_c_echo().Status == 0
    association.release()
    association.join(PATIENCE_S)
    assert not association.is_alive()
