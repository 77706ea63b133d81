"""C-GET: stored instances go back to the peer in the association in which it asks (PS3.4 C.4.3)."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from scp.contexts import Service
from scp.errors import NotAuthorisedError
from scp.identifier import read_retrieve_keys
from scp.retrieve import perform
from scp.send import SubOperation, send_instance

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from db.index import Index
    from db.records import StoredInstance
    from db.store import Store
    from scp.exchange import Exchange


class GetServant:
    """Sends a peer what it asks for.

    Parameters
    ----------
    store, index
        Where the instances are.
    """

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index

    def serve(self, exchange: Exchange) -> None:
        """Send the instances and tell the peer how it goes.

        Raises
        ------
        NotAuthorisedError, SopClassError, QueryError
            If the request is refused.
        DbError
            If the index cannot be read.
        """
        exchange.check_sop_class()
        if not exchange.session.may(Service.GET):
            raise NotAuthorisedError("The peer may not get")
        keys = read_retrieve_keys(exchange.dataset, exchange.transfer_syntax_uid, exchange.abstract_syntax)
        instances = self._index.instances(keys.level, keys.uids)
        perform(exchange, len(instances), self._send(exchange, instances))

    def _send(
        self, exchange: Exchange, instances: Sequence[StoredInstance]
    ) -> Generator[SubOperation, None, None]:
        message_ids = cycle(range(1, 65536))
        for instance in instances:
            yield send_instance(
                exchange.association, instance, store=self._store, message_id=next(message_ids)
            )
