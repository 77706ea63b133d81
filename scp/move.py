"""C-MOVE: stored instances go to a configured peer (PS3.4 C.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scp.contexts import Service
from scp.errors import DestinationError, NotAuthorisedError
from scp.identifier import read_retrieve_keys
from scp.retrieve import perform
from scp.send import Originator, send_instances

if TYPE_CHECKING:
    from db.index import Index
    from db.store import Store
    from scp.caller import Caller
    from scp.exchange import Exchange
    from scp.peers import PeerBook


class MoveServant:
    """Sends what a peer asks for to where it asks.

    Parameters
    ----------
    store, index
        Where the instances are.
    book
        Knows the destinations.
    caller
        Requests the associations with them.
    """

    def __init__(self, store: Store, index: Index, *, book: PeerBook, caller: Caller) -> None:
        self._store = store
        self._index = index
        self._book = book
        self._caller = caller

    def serve(self, exchange: Exchange) -> None:
        """Send the instances and tell the peer how it goes.

        Raises
        ------
        NotAuthorisedError, SopClassError, QueryError
            If the request is refused.
        DestinationError
            If nobody configured is called so, or cannot be called.
        DbError
            If the index cannot be read.
        """
        exchange.check_sop_class()
        if not exchange.session.may(Service.MOVE):
            raise NotAuthorisedError("The peer may not move")
        destination = self._book.destination(exchange.move_destination)
        if destination is None:
            raise DestinationError("The move destination is not a configured peer with a port")
        keys = read_retrieve_keys(exchange.dataset, exchange.transfer_syntax_uid, exchange.abstract_syntax)
        instances = self._index.instances(keys.level, keys.uids)
        work = send_instances(
            destination,
            instances,
            store=self._store,
            caller=self._caller,
            originator=Originator(ae_title=exchange.session.calling_ae_title, message_id=exchange.message_id),
        )
        perform(exchange, len(instances), work)
