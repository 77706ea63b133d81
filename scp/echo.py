"""C-ECHO: the node is there (PS3.4 Annex A)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scp.contexts import Service
from scp.errors import NotAuthorisedError
from scp.status import SUCCESS

if TYPE_CHECKING:
    from scp.exchange import Exchange


class EchoServant:
    """Says yes."""

    def serve(self, exchange: Exchange) -> None:
        """Answer a C-ECHO.

        Raises
        ------
        NotAuthorisedError
            If the peer may not even ask.
        """
        exchange.check_sop_class()
        if not exchange.session.may(Service.ECHO):
            raise NotAuthorisedError("The peer may not ask for an echo")
        exchange.respond(SUCCESS)
