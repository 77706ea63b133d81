"""One request of a peer and its responses, as the services see them: no service touches the protocol itself."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pydicom.config import IGNORE
from pydicom.tag import Tag
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE

from scp.errors import IncompleteRequestError, SopClassError

if TYPE_CHECKING:
    from pynetdicom.presentation import PresentationContext

    from scp.association import NodeAssociation
    from scp.session import Session
    from scp.status import Status

MOST_COUNTED = 65535
"""The numbers of sub-operations are US (PS3.7 Annex E.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How far the sub-operations of a C-MOVE or C-GET have come."""

    remaining: int | None
    """None in a final response, unless it was cancelled (PS3.7 9.1.4.1.7)."""
    completed: int
    failed: int
    warning: int


class Exchange:
    """One request and the way to answer it.

    Parameters
    ----------
    association
        Where it came from.
    session
        Who sent it.
    request
        pynetdicom's primitive: C_ECHO, C_STORE, C_FIND, C_GET or C_MOVE.
    context
        The accepted presentation context it came in.
    """

    def __init__(
        self, association: NodeAssociation, session: Session, request: Any, context: PresentationContext
    ) -> None:
        self.association = association
        self.session = session
        self._request = request
        self._context = context

    @property
    def abstract_syntax(self) -> str:
        """What the presentation context is for."""
        return str(self._context.abstract_syntax)

    @property
    def transfer_syntax_uid(self) -> str:
        """How the data set and the identifiers are encoded."""
        return str(self._context.transfer_syntax[0])

    @property
    def message_id(self) -> int:
        """The request's Message ID."""
        return int(self._request.MessageID)

    @property
    def sop_class_uid(self) -> str:
        """The command's Affected SOP Class UID, as it came."""
        return str(self._request.AffectedSOPClassUID or "")

    @property
    def sop_instance_uid(self) -> str:
        """The command's Affected SOP Instance UID, as it came."""
        return str(getattr(self._request, "AffectedSOPInstanceUID", None) or "")

    @property
    def move_destination(self) -> str:
        """The AE title that a C-MOVE shall send to, as it came."""
        return str(self._request.MoveDestination or "").strip()

    @property
    def dataset(self) -> bytes:
        """The data set or identifier, byte for byte as it came; empty where there is none."""
        name = "DataSet" if isinstance(self._request, C_STORE) else "Identifier"
        stream = getattr(self._request, name, None)
        return b"" if stream is None else bytes(stream.getvalue())

    @property
    def is_peer_scu(self) -> bool:
        """Whether the peer may be the SCU in this presentation context."""
        return bool(self._context.as_scp)

    def check_whole(self) -> None:
        """Check that the command has all its mandatory fields.

        Raises
        ------
        IncompleteRequestError
            If one is missing.
        """
        if not self._request.is_valid_request:
            raise IncompleteRequestError("A mandatory field of the command is missing")

    def check_sop_class(self) -> None:
        """Check that the command asks for what its presentation context is for.

        Raises
        ------
        SopClassError
            If it does not.
        """
        if self.sop_class_uid != self.abstract_syntax:
            raise SopClassError("The SOP class is not that of the presentation context")

    def is_cancelled(self) -> bool:
        """Return whether the peer sent a C-CANCEL for this request."""
        return self.message_id in self.association.dimse.cancel_req

    def is_over(self) -> bool:
        """Return whether there is nobody left to answer."""
        return not self.association.is_established or self.association.acse.is_aborted()

    def respond(self, status: Status, *, identifier: bytes = b"", counts: Counts | None = None) -> None:
        """Send one response.

        Parameters
        ----------
        status
            With its comment and offending element.
        identifier
            Encoded in the context's transfer syntax; empty for none.
        counts
            Of C-MOVE and C-GET.
        """
        response = type(self._request)()
        response.MessageIDBeingRespondedTo = self.message_id
        for name in ("AffectedSOPClassUID", "AffectedSOPInstanceUID"):
            value = getattr(self._request, name, None)
            # Optional in responses; what is no UID is not sent back.
            if value and UID(value, IGNORE).is_valid:
                setattr(response, name, value)
        response.Status = status.code
        if status.comment:
            response.ErrorComment = status.comment
        if status.offending_tag is not None:
            response.OffendingElement = [Tag(*status.offending_tag)]
        if identifier:
            response.Identifier = BytesIO(identifier)
        if counts is not None:
            response.NumberOfRemainingSuboperations = _counted(counts.remaining)
            response.NumberOfCompletedSuboperations = _counted(counts.completed)
            response.NumberOfFailedSuboperations = _counted(counts.failed)
            response.NumberOfWarningSuboperations = _counted(counts.warning)
        self.association.dimse.send_msg(response, int(self._context.context_id or 0))


def _counted(count: int | None) -> int | None:
    return None if count is None else min(count, MOST_COUNTED)
