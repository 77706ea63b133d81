"""C-FIND: what is in the index (PS3.4 C.4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.query import search
from scp.contexts import Service
from scp.errors import NotAuthorisedError
from scp.identifier import read_identifier, write_identifier
from scp.status import CANCELLED, PENDING, PENDING_UNSUPPORTED_KEYS, SUCCESS

if TYPE_CHECKING:
    from db.engine import Engines
    from scp.exchange import Exchange


class FindServant:
    """Answers queries.

    Parameters
    ----------
    engines
        Ways into the index.
    ae_title
        Our own: from where the matches can be retrieved.
    """

    def __init__(self, engines: Engines, ae_title: str) -> None:
        self._engines = engines
        self._ae_title = ae_title

    def serve(self, exchange: Exchange) -> None:
        """Send every match; a C-CANCEL is heeded between two of them.

        Raises
        ------
        NotAuthorisedError, SopClassError, QueryError
            If the request is refused.
        DbError
            If the index cannot be read.
        """
        exchange.check_sop_class()
        if not exchange.session.may(Service.FIND):
            raise NotAuthorisedError("The peer may not query")
        query = read_identifier(exchange.dataset, exchange.transfer_syntax_uid, exchange.abstract_syntax)
        pending = PENDING_UNSUPPORTED_KEYS if query.unsupported else PENDING
        count = 0
        status = SUCCESS
        for match in search(self._engines, query):
            if exchange.is_over():
                return
            if exchange.is_cancelled():
                status = CANCELLED
                break
            exchange.respond(
                pending,
                identifier=write_identifier(match, query, exchange.transfer_syntax_uid, self._ae_title),
            )
            count += 1
        exchange.respond(status)
        exchange.session.log.info("query answered", status=f"0x{status.code:04X}", matches=count)
