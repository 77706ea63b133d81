"""The node as the one that calls: associations with peers, requested, used and ended."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scp.errors import AssociationError
from scp.quiet import quiet_pynetdicom
from scp.transport import Limits, NodeAE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

    from config.settings import Network
    from scp.peers import Destination

_REJECTIONS = {
    (1, 3): "it does not know our AE title",
    (1, 7): "it is not called by that AE title",
    (3, 1): "it is busy",
    (3, 2): "it has too many associations",
}
"""(source, diagnostic) of A-ASSOCIATE-RJ, PS3.8 Table 9-21."""


class Caller:
    """Requests associations under our AE title.

    Parameters
    ----------
    ae_title
        Our own.
    network
        The deadlines and sizes.
    """

    def __init__(self, ae_title: str, network: Network) -> None:
        quiet_pynetdicom()
        self.ae_title = ae_title
        self._network = network

    @contextmanager
    def association(
        self, destination: Destination, contexts: Sequence[PresentationContext]
    ) -> Iterator[Association]:
        """Keep an association with a peer for as long as the block runs.

        It is released at the block's end, and aborted where the block raises.

        Parameters
        ----------
        destination
            Whom to call.
        contexts
            At most 128.

        Raises
        ------
        AssociationError
            If the peer cannot be reached or does not accept.
        """
        association = self._request(destination, contexts)
        is_done = False
        try:
            yield association
            is_done = True
        except GeneratorExit:  # whoever iterates over the block's results has enough of them
            is_done = True
            raise
        finally:
            if association.is_established and is_done:
                association.release()
            elif association.is_established:
                association.abort()
            association.join(self._network.acse_timeout_s)

    def _request(self, destination: Destination, contexts: Sequence[PresentationContext]) -> Association:
        ae = self._make_ae()
        try:
            association = ae.associate(
                destination.host,
                destination.port,
                contexts=list(contexts),
                ae_title=destination.ae_title,
                max_pdu=self._network.maximum_pdu_bytes,
            )
        except OSError as error:
            raise AssociationError(
                f"{destination.ae_title} cannot be reached", hint="Check its host name and port."
            ) from error
        if association.is_established:
            return association
        _close(association)
        raise _refusal(association, destination)

    def _make_ae(self) -> NodeAE:
        ae = NodeAE(
            self.ae_title,
            Limits.of(
                pdu_timeout_s=self._network.dimse_timeout_s,
                announced_pdu_bytes=self._network.maximum_pdu_bytes,
                most_dataset_bytes=self._network.max_dataset_bytes,
            ),
        )
        ae.acse_timeout = self._network.acse_timeout_s
        ae.connection_timeout = self._network.acse_timeout_s
        ae.dimse_timeout = self._network.dimse_timeout_s
        ae.network_timeout = self._network.idle_timeout_s
        return ae


def exchange_messages(association: Association, request: Any, context_id: int) -> Any:
    """Send a request in a requested association, and return the response.

    Parameters
    ----------
    association
        Established.
    request
        A DIMSE request primitive with one response.
    context_id
        The accepted presentation context it goes in.

    Raises
    ------
    AssociationError
        If no valid response comes in time; the association is aborted.
    """
    # pynetdicom's own thread of the association must not take the response away.
    association._reactor_checkpoint.clear()  # noqa: SLF001 - scp.checkpoint: it stands still now
    try:
        association.dimse.send_msg(request, context_id)
        return await_response(association, request)
    finally:
        association._reactor_checkpoint.set()  # noqa: SLF001


def await_response(association: Association, request: Any) -> Any:
    """Return the response to a request that was sent.

    Raises
    ------
    AssociationError
        If no valid response comes in time; the association is aborted.
    """
    _, response = association.dimse.get_msg(block=True)
    if response is None:
        if association.is_established and not association.acse.is_aborted():
            association.abort()
            raise AssociationError("The peer did not answer in time")
        raise AssociationError("The association ended before the answer")
    fits = (
        type(response) is type(request)
        and response.is_valid_response
        and response.MessageIDBeingRespondedTo == request.MessageID
    )
    if not fits:
        association.abort()
        raise AssociationError("The peer answered with something else")
    return response


def _close(association: Association) -> None:
    """Close what an association that did not come about leaves open."""
    association.kill()
    connection = association.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.close()


def _refusal(association: Association, destination: Destination) -> AssociationError:
    if association.is_rejected:
        answer: Any = association.acceptor.primitive
        reason = _REJECTIONS.get((answer.result_source, answer.diagnostic), "no reason given")
        return AssociationError(
            f"{destination.ae_title} rejected the association: {reason}", hint="Check both AE titles."
        )
    if association.rejected_contexts and not association.accepted_contexts:
        return AssociationError(f"{destination.ae_title} accepted none of the presentation contexts")
    return AssociationError(
        f"{destination.ae_title} cannot be reached, or ended the association",
        hint="Check its host name and port, and that it is running.",
    )
