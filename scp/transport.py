"""Between pynetdicom and the network: deadlines, bounds and socket options.

pynetdicom 3.0.4 waits for ever for the rest of a PDU, reads PDUs and messages of any length into memory, reads ahead
of what it has served, leaves Nagle's algorithm on (which costs 40 ms a message against peers that do the same), and
asks select(), which ends at descriptor 1,024. `fit` puts an association on parts that do not.

Sources: PS3.8 9.3.5 (P-DATA-TF), 9.3.8 (A-ABORT), 9.2 (the state machine).
"""

from __future__ import annotations

import queue
import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog
from pynetdicom import AE, evt
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AddressInformation, AssociationSocket

from db.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from scp.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pynetdicom.association import Association

_log = structlog.get_logger(__name__)

_MEGABYTE = 1024 * 1024
_MOST_IDENTIFIER_BYTES = 3 * _MEGABYTE
"""A command set with its identifier; what scp.identifier reads is smaller."""
_MOST_WAITING_MESSAGES = 2
"""Requests read ahead of the one being served; a peer that did not negotiate more has one outstanding."""
_MOST_WAITING_PDUS = 64
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_TRANSFER_STATES = ("Sta6", "Sta8")
_ENDING = "Sta13"
"""Everything is said; the connection is only waiting to be closed."""

_REASON_NOT_SPECIFIED = 0
_INVALID_PARAMETER_VALUE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one association may take."""

    pdu_timeout_s: float
    """For one whole PDU, from its first byte to its last, in either direction."""
    most_pdu_bytes: int
    """The longest PDU that is read. Longer than what we announce: not every sender keeps to it."""
    most_dataset_bytes: int
    """The largest data set of a C-STORE."""

    @classmethod
    def of(cls, *, pdu_timeout_s: float, announced_pdu_bytes: int, most_dataset_bytes: int) -> Limits:
        """Return the limits that go with an announced maximum PDU length."""
        return cls(
            pdu_timeout_s=pdu_timeout_s,
            # An A-ASSOCIATE-RQ is not bound by the announced length; 128 contexts can be several 100 kB.
            most_pdu_bytes=max(_MEGABYTE, 2 * announced_pdu_bytes),
            most_dataset_bytes=most_dataset_bytes,
        )


class NodeSocket(AssociationSocket):
    """A socket without Nagle's algorithm, with a deadline for each PDU.

    Attributes
    ----------
    is_lost
        Whether the connection ended other than by our closing it.
    """

    def __init__(
        self,
        assoc: Association,
        *,
        limits: Limits,
        client_socket: socket.socket | None = None,
        address: AddressInformation | None = None,
    ) -> None:
        super().__init__(assoc, client_socket, address)
        self.is_lost = False
        self._limits = limits
        self._deadline = 0.0
        self._wrapped().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def ready(self) -> bool:
        """Whether bytes can be read and there is room for what they may complete."""
        if self.socket is None or not self._is_connected:
            return False
        if self.assoc.dimse.msg_queue.qsize() >= _MOST_WAITING_MESSAGES:
            return False
        try:
            poll = select.poll()
            poll.register(self.socket, select.POLLIN)
            return bool(poll.poll(0))
        except (OSError, ValueError):
            self._lose()
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Return `nr_bytes` from the peer, or fewer where it closed the connection.

        The six bytes of a PDU's header start the clock for the whole PDU.

        Raises
        ------
        OSError
            If the peer is too slow or the PDU too long; it was sent an A-ABORT.
        """
        if nr_bytes > self._limits.most_pdu_bytes:
            self._abort(_INVALID_PARAMETER_VALUE)
            raise OSError("PDU too long")
        if nr_bytes == _HEADER_BYTES:
            self._deadline = time.monotonic() + self._limits.pdu_timeout_s
        wrapped = self._wrapped()
        buffer = bytearray(nr_bytes)
        count = 0
        try:
            while count < nr_bytes:
                wrapped.settimeout(max(self._deadline - time.monotonic(), 0.001))
                received = wrapped.recv_into(memoryview(buffer)[count:])
                if not received:
                    self.is_lost = True
                    return buffer[:count]
                count += received
        except TimeoutError:
            self._abort(_REASON_NOT_SPECIFIED)
            raise
        except OSError:
            self.is_lost = True
            raise
        if _QUICKACK is not None:
            # Linux forgets it after a while: without it, a peer that leaves Nagle on stalls 40 ms a message.
            wrapped.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return buffer

    def send(self, bytestream: bytes) -> None:
        """Send one PDU whole, or give up the connection."""
        try:
            wrapped = self._wrapped()
            wrapped.settimeout(self._limits.pdu_timeout_s)
            wrapped.sendall(bytestream)
        except OSError:
            self._lose()
            return
        evt.trigger(self.assoc, evt.EVT_DATA_SENT, {"data": bytestream})

    def discard(self) -> bool:
        """Read what lies there without looking at it, and return whether there was something.

        Closing over unread bytes would reset the connection, and the peer might never see our last PDU.
        """
        try:
            wrapped = self._wrapped()
            wrapped.setblocking(False)
            return bool(wrapped.recv(_MEGABYTE))
        except OSError:
            return False

    def _shutdown_socket(self) -> None:
        # pynetdicom leaves a socket open whose shutdown fails, as that of one that never was connected does.
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def _lose(self) -> None:
        self.is_lost = True
        self.event_queue.put("Evt17")  # transport connection closed

    def _abort(self, reason: int) -> None:
        """Send an A-ABORT past the state machine, which only knows PDUs that it read."""
        _log.warning("association aborted by the node", reason=reason)
        self.send(bytes((0x07, 0, 0, 0, 0, 4, 0, 0, 0x02, reason)))

    def _wrapped(self) -> socket.socket:
        if self.socket is None:
            raise OSError("The connection is closed")
        return self.socket


_HEADER_BYTES = 6


class _Outbox(queue.Queue[Any]):
    """What waits to be sent: a writer that is faster than the network waits, until the network is gone."""

    def __init__(self, dul: DULServiceProvider) -> None:
        super().__init__(_MOST_WAITING_PDUS)
        self._dul = dul

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002
        """Add an item once there is room, or drop it once nobody sends any more."""
        while True:
            try:
                super().put(item, timeout=0.1)
            except queue.Full:
                if not self._dul.is_alive():
                    return
            else:
                return


class _Inbox(queue.Queue[Any]):
    """What waits to be served. A C-CANCEL counts for the request that came before it, not for a later one."""

    def __init__(self, dimse: DIMSEServiceProvider) -> None:
        super().__init__()
        self._dimse = dimse

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a request; an older C-CANCEL for its Message ID is forgotten."""
        message_id = getattr(item[1], "MessageID", None)
        if message_id is not None:
            self._dimse.cancel_req.pop(message_id, None)
        super().put(item, block, timeout)


class NodeDul(DULServiceProvider):
    """The upper layer, with a bounded outbox, that listens while it talks and sends no P-DATA after the end."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self.daemon = True
        self.to_provider_queue = _Outbox(self)
        self._has_read = False

    def run_reactor(self) -> None:
        """Run the upper layer; at its end, whoever waits for a primitive waits no longer."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 - the association boundary
            _log.error("upper layer failed", error=type(error).__name__)
        finally:
            self.to_user_queue.put(None)  # type: ignore[arg-type]

    def _is_transport_event(self) -> bool:
        if self.state_machine.current_state == _ENDING and isinstance(self.socket, NodeSocket):
            if not self.socket.discard():
                self.socket.close()
            return True
        return super()._is_transport_event()

    def _process_recv_primitive(self) -> bool:
        head = next(iter(list(self.to_provider_queue.queue)[:1]), None)
        if isinstance(head, P_DATA) and self.state_machine.current_state not in _TRANSFER_STATES:
            # The peer aborted while it was being answered; the state machine has no place for the answer.
            self.to_provider_queue.get(block=False)
            return False
        if isinstance(head, P_DATA) and not self._has_read and self.socket is not None and self.socket.ready:
            # Reading takes turns with sending: a C-CANCEL must be heard while answers are waiting.
            self._has_read = True
            return False
        self._has_read = False
        return super()._process_recv_primitive()


class NodeDimse(DIMSEServiceProvider):
    """DIMSE messages of bounded size; what cannot be understood ends the association with an A-ABORT."""

    def __init__(self, assoc: Association, limits: Limits) -> None:
        super().__init__(assoc)
        self._limits = limits
        self.msg_queue = _Inbox(self)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA; runs in the thread of the upper layer."""
        try:
            if self._fits(primitive):
                super().receive_primitive(primitive)
                return
            reason = "message too large"
        except Exception as error:  # noqa: BLE001 - the association boundary: anything may be in these bytes
            reason = type(error).__name__
        _log.warning("message not understood", error=reason)
        self.message = None
        self.dul.event_queue.put("Evt19")  # unrecognised or invalid PDU: A-ABORT

    def _fits(self, primitive: P_DATA) -> bool:
        incoming = sum(len(data) for _, data in primitive.presentation_data_value_list)
        if self.message is None:
            return incoming <= self._limits.most_pdu_bytes
        held = self.message.encoded_command_set.tell()
        if self.message.data_set is not None:
            held += self.message.data_set.tell()
        is_store = isinstance(self.message, C_STORE_RQ)
        most = self._limits.most_dataset_bytes if is_store else _MOST_IDENTIFIER_BYTES
        return held + incoming <= most


def fit(assoc: Association, limits: Limits) -> None:
    """Put a new association, before its socket is set, on bounded parts."""
    assoc.dul = NodeDul(assoc)
    assoc.dimse = NodeDimse(assoc, limits)
    # The timers belong to the upper layer that was just replaced.
    assoc.acse_timeout = assoc.ae.acse_timeout
    assoc.network_timeout = assoc.ae.network_timeout


class NodeAE(AE):
    """An application entity that names our implementation, and whose requested associations run on bounded parts.

    Parameters
    ----------
    ae_title
        Our own.
    limits
        For each association.
    """

    def __init__(self, ae_title: str, limits: Limits) -> None:
        super().__init__(ae_title)
        self.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self.limits = limits

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: Any
    ) -> AssociationSocket:
        fit(assoc, self.limits)
        assoc._reactor_checkpoint = Checkpoint(assoc)  # noqa: SLF001 - before the association's thread starts
        assoc._reactor_checkpoint.set()  # noqa: SLF001
        made = NodeSocket(assoc, limits=self.limits, address=address)
        made.tls_args = tls_args
        return cast("AssociationSocket", made)
