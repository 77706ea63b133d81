"""The node on the network: one port, its associations, and an orderly end."""

from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from pynetdicom import evt
from pynetdicom.transport import AssociationServer, RequestHandler

from scp.association import Desk, NodeAssociation
from scp.caller import Caller
from scp.contexts import VERIFICATION, Service, build_context
from scp.echo import EchoServant
from scp.find import FindServant
from scp.get import GetServant
from scp.move import MoveServant
from scp.peers import PeerBook, read_peers
from scp.quiet import quiet_pynetdicom
from scp.store import StoreServant
from scp.transport import Limits, NodeAE, NodeSocket

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from config.settings import Settings
    from db.engine import Engines
    from db.index import Index
    from db.store import Store

_log = structlog.get_logger(__name__)

_UNNEGOTIATED = 32
"""How many connections there may be beyond the associations: they are needed to be told that there are too many."""
_END_S = 5.0
"""How long aborted associations may take to finish what they are writing."""


class Node:
    """A DICOM node.

    Parameters
    ----------
    settings
        Checked settings; the sections node, storage, network and peers are used.
    store, index, engines
        Where the instances are and what is known of them, opened by the caller, and closed by it after `stop`.
    on_change
        Called, in the association's thread, after an association that sent something has ended.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        index: Index,
        engines: Engines,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._index = index
        self._engines = engines
        self._on_change = on_change
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def address(self) -> tuple[str, int]:
        """Where the node listens: IP address and port.

        Raises
        ------
        RuntimeError
            If it was not started.
        """
        if self._server is None:
            raise RuntimeError("The node was not started")
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def is_alive(self) -> bool:
        """Return whether new associations are accepted."""
        return self._thread is not None and self._thread.is_alive() and not self._stopping.is_set()

    def start(self) -> None:
        """Listen, and return once associations are accepted.

        Raises
        ------
        OSError
            If the port cannot be bound.
        """
        quiet_pynetdicom()
        network, node = self._settings.network, self._settings.node
        limits = Limits.of(
            pdu_timeout_s=network.dimse_timeout_s,
            announced_pdu_bytes=network.maximum_pdu_bytes,
            most_dataset_bytes=network.max_dataset_bytes,
        )
        ae = NodeAE(node.ae_title, limits)
        ae.maximum_associations = network.max_associations
        ae.maximum_pdu_size = network.maximum_pdu_bytes
        ae.acse_timeout = network.acse_timeout_s
        ae.dimse_timeout = network.dimse_timeout_s
        ae.network_timeout = network.idle_timeout_s
        self._server = _Server(ae, (node.host, node.port), self._desk(limits))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="node-accept", daemon=True
        )
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Stop listening, let the open associations finish, abort what is left, and return when all have ended.

        A C-STORE that is aborted half-way is either kept and indexed or was not acknowledged.

        Parameters
        ----------
        grace_s
            How long open associations may go on, in seconds.
        """
        if self._server is None or self._stopping.is_set():
            return
        self._stopping.set()
        self._server.close()
        deadline = time.monotonic() + grace_s
        while self._server.associations() and time.monotonic() < deadline:
            time.sleep(0.02)
        left = self._server.associations()
        for association in left:
            association.abort(block=False)
        deadline = time.monotonic() + _END_S
        for association in left:
            association.join(max(deadline - time.monotonic(), 0.0))
        _log.info("network stopped", count=len(left))

    def _desk(self, limits: Limits) -> Desk:
        book = read_peers(self._settings)
        return Desk(
            book=book,
            index=self._index,
            limits=limits,
            servants={
                Service.ECHO: EchoServant(),
                Service.STORE: StoreServant(self._store, self._index, self._settings.storage),
                Service.FIND: FindServant(self._engines, book.ae_title),
                Service.GET: GetServant(self._store, self._index),
                Service.MOVE: self._move_servant(book),
            },
            on_change=self._on_change,
            is_stopping=self._stopping.is_set,
        )

    def _move_servant(self, book: PeerBook) -> MoveServant:
        caller = Caller(book.ae_title, self._settings.network)
        return MoveServant(self._store, self._index, book=book, caller=caller)


class _Server(AssociationServer):
    """Accepts connections and gives each an association of its own."""

    request_queue_size = 128

    def __init__(self, ae: NodeAE, address: tuple[str, int], desk: Desk) -> None:
        self.desk = desk
        self._open: set[NodeAssociation] = set()
        self._lock = threading.Lock()
        self._most = ae.maximum_associations + _UNNEGOTIATED
        # pynetdicom wants some context; each association gets its own in NodeAssociation.admit.
        contexts = [build_context(VERIFICATION, ["1.2.840.10008.1.2"])]
        super().__init__(ae, address, ae.ae_title, contexts, request_handler=_Handler)

    def add(self, association: NodeAssociation) -> None:
        """Remember an association until its thread ends."""
        with self._lock:
            self._open = {each for each in self._open if each.is_alive()} | {association}

    def associations(self) -> list[NodeAssociation]:
        """Return the associations whose threads run."""
        with self._lock:
            return [each for each in self._open if each.is_alive()]

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Drop connections that are so many that they could not even be rejected in order."""
        return len(self.associations()) < self._most

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log that a connection could not be served; the others go on."""
        _log.error("connection failed", error=getattr(sys.exc_info()[0], "__name__", ""))

    def close(self) -> None:
        """Stop accepting and close the port."""
        super(AssociationServer, self).shutdown()
        self.server_close()


class _Handler(RequestHandler):
    """Makes one association of one connection."""

    server: _Server
    request: socket.socket

    def _create_association(self) -> NodeAssociation:
        association = NodeAssociation(self.ae, self.server.desk)
        association._server = self.server  # noqa: SLF001 - so that it closes the connection at its end
        association.name = f"AcceptorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"
        association.set_socket(
            NodeSocket(association, limits=self.server.desk.limits, client_socket=self.request)
        )
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = self.server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.supported_contexts = []
        association.requestor.address_info = self.remote
        association.bind(evt.EVT_REQUESTED, association.admit)
        self.server.add(association)
        return association
