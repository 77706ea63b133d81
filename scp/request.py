"""What the node asks of other nodes for an operator: is it there, what does it have."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_ECHO

from scp.caller import exchange_messages
from scp.contexts import VERIFICATION, build_context
from scp.errors import AssociationError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

    from scp.caller import Caller
    from scp.peers import Destination

PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"

_TRANSFER_SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
_PENDING = (0xFF00, 0xFF01)


def echo_peer(destination: Destination, caller: Caller) -> None:
    """Ask a peer whether it is there.

    Raises
    ------
    AssociationError
        If it cannot be reached, does not accept or does not answer.
    ResponseError
        If it answers with a failure.
    """
    with caller.association(destination, [build_context(VERIFICATION, _TRANSFER_SYNTAXES)]) as association:
        request = C_ECHO()
        request.MessageID = 1
        request.AffectedSOPClassUID = VERIFICATION
        response = exchange_messages(association, request, _context_id(association, VERIFICATION))
    if response.Status != 0:
        raise ResponseError(f"The peer answered 0x{response.Status:04X}", code=response.Status)


def query_peer(
    destination: Destination,
    identifier: Dataset,
    caller: Caller,
    *,
    model: str = STUDY_ROOT_FIND,
    most: int | None = None,
) -> Iterator[Dataset]:
    """Ask a peer what it has, and yield the matches as they come.

    Parameters
    ----------
    destination
        Whom to ask.
    identifier
        The query, with Query/Retrieve Level (PS3.4 C.4.1.1.3).
    caller
        Who asks.
    model
        SOP Class UID of the information model.
    most
        After so many matches the query is cancelled; None for all.

    Raises
    ------
    AssociationError
        If the peer cannot be reached, does not accept or does not answer.
    ResponseError
        If it answers with a failure.
    """
    with caller.association(destination, [build_context(model, _TRANSFER_SYNTAXES)]) as association:
        context_id = _context_id(association, model)
        responses = association.send_c_find(identifier, query_model=model)
        for number, (status, match) in zip(count(1), responses, strict=False):
            code = getattr(status, "Status", None)
            if code not in _PENDING:
                _check_end(code)
                return
            if match is not None:
                yield match
            if number == most:
                association.send_c_cancel(1, context_id)


def _context_id(association: Any, abstract_syntax: str) -> int:
    for context in association.accepted_contexts:
        if context.abstract_syntax == abstract_syntax:
            return int(context.context_id)
    raise AssociationError("The peer does not offer the service")


def _check_end(code: int | None) -> None:
    if code is None:
        raise ResponseError("The peer did not finish its answer", code=None)
    if code not in (0x0000, 0xFE00, 0xB001):
        raise ResponseError(f"The peer answered 0x{code:04X}", code=code)
