"""An association that a peer opens: admission, dispatch to the services, and one recorded end.

This is the association boundary: whatever goes wrong in a service ends here as a status, and whatever goes wrong in
an association ends here with the association; no other peer notices.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE

from db.errors import DbError
from db.records import AssociationOutcome
from scp.contexts import Service, supported_contexts
from scp.errors import ScpError
from scp.exchange import Exchange
from scp.peers import PeerBook, Rejection, admit
from scp.session import Session, printable
from scp.status import status_of
from scp.transport import Limits, NodeSocket, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pynetdicom import AE
    from pynetdicom.events import Event

    from db.index import Index

_log = structlog.get_logger(__name__)

_REQUESTS: dict[type, Service] = {
    C_ECHO: Service.ECHO,
    C_STORE: Service.STORE,
    C_FIND: Service.FIND,
    C_GET: Service.GET,
    C_MOVE: Service.MOVE,
}
_CONGESTION = Rejection(result=2, source=3, diagnostic=1, reason="the node is stopping")


class Servant(Protocol):
    """What performs one DIMSE service."""

    def serve(self, exchange: Exchange) -> None:
        """Answer the request with every response it needs, or raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What all associations of a node share."""

    book: PeerBook
    index: Index
    limits: Limits
    servants: Mapping[Service, Servant]
    on_change: Callable[[], None]
    """Called after an association that sent something has ended."""
    is_stopping: Callable[[], bool]
    numbers: Iterator[int] = field(default_factory=lambda: count(1))


class NodeAssociation(Association):
    """One association that a peer opened.

    Parameters
    ----------
    ae
        pynetdicom's application entity.
    desk
        What it shares with the others.
    """

    def __init__(self, ae: AE, desk: Desk) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        fit(self, desk.limits)
        self.desk = desk
        self.session: Session | None = None

    def run_reactor(self) -> None:
        """Run the association from its first PDU to its end, and record the end."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 - the association boundary
            _log.error("association failed", error=type(error).__name__)
        finally:
            self._close()

    def admit(self, _: Event) -> None:
        """Decide on the association request; bound to pynetdicom's EVT_REQUESTED."""
        request: Any = self.requestor.primitive
        address = self.requestor.address
        calling, called = request.calling_ae_title or "", request.called_ae_title or ""
        answer: Any = _CONGESTION
        if not self.desk.is_stopping():
            answer = admit(self.desk.book, calling, called, address)
        if isinstance(answer, Rejection):
            _log.warning(
                "association rejected",
                calling_ae_title=printable(calling),
                address=address,
                reason=answer.reason,
            )
            self.acse.send_reject(answer.result, answer.source, answer.diagnostic)
            self.kill()  # returns once the rejection is sent and the connection closed
            return
        self.acceptor.supported_contexts = supported_contexts(
            [
                (str(context.abstract_syntax), [str(uid) for uid in context.transfer_syntax])
                for context in request.presentation_context_definition_list
            ],
            rights=answer.rights,
            with_roles={str(uid) for uid, role in self.requestor.role_selection.items() if role.scp_role},
        )
        self.session = Session(
            answer,
            calling_ae_title=printable(calling),
            called_ae_title=printable(called),
            address=address,
            index=self.desk.index,
            number=next(self.desk.numbers),
        )
        self.session.log.debug("association requested", address=address)

    def _serve_request(self, msg: Any, context_id: int) -> None:
        service = _REQUESTS.get(type(msg))
        context = self._accepted_cx.get(context_id)
        is_request = msg.MessageID is not None and msg.MessageIDBeingRespondedTo is None
        if service is None or context is None or self.session is None or not is_request or self._sent_release:
            super()._serve_request(msg, context_id)
            return
        self._is_paused = True
        try:
            self._serve(service, Exchange(self, self.session, msg, context))
        finally:
            self.dimse.cancel_req.pop(msg.MessageID, None)
            self._is_paused = False

    def _serve(self, service: Service, exchange: Exchange) -> None:
        log = exchange.session.log
        try:
            exchange.check_whole()
            self.desk.servants[service].serve(exchange)
        except (ScpError, DbError) as error:
            status = status_of(error, service)
            log.warning(
                "request refused", service=str(service), status=f"0x{status.code:04X}", error=str(error)
            )
        except Exception as error:  # noqa: BLE001 - the association boundary
            status = status_of(error, service)
            log.error("request failed", service=str(service), error=type(error).__name__)  # noqa: TRY400 - no texts
        else:
            return
        if service is Service.STORE:
            exchange.session.refused_count += 1
        if not exchange.is_over():
            exchange.respond(status)

    def _close(self) -> None:
        session = self.session
        if session is None or self.is_rejected:
            return
        outcome = self._outcome()
        session.log.info(
            "association ended",
            outcome=str(outcome),
            stored=session.stored_count,
            refused=session.refused_count,
            bytes=session.stored_bytes,
        )
        try:
            if session.close(outcome, time.time()):
                self.desk.on_change()
        except Exception as error:  # noqa: BLE001 - the association boundary
            session.log.error("association end not recorded", error=type(error).__name__)  # noqa: TRY400 - no texts

    def _outcome(self) -> AssociationOutcome:
        if self.is_released:
            return AssociationOutcome.RELEASED
        connection = self.dul.socket
        if isinstance(connection, NodeSocket) and connection.is_lost:
            return AssociationOutcome.LOST
        return AssociationOutcome.ABORTED
