"""What the node knows of one association that a peer opened, from its acceptance to its end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from db.index import Index
    from db.records import AssociationOutcome
    from scp.contexts import Service
    from scp.peers import Peer

_log = structlog.get_logger(__name__)


class Session:
    """One accepted association: the peer, its row in the index, and what it sent.

    The row is made with the first C-STORE: an association that only asks leaves none.

    Parameters
    ----------
    peer
        Who calls.
    calling_ae_title, called_ae_title
        As the association request had them, cut to what may be shown.
    address
        The IP address it calls from.
    index
        Where the association is recorded.
    number
        Counts the associations of this run of the node; how the log names it.
    """

    def __init__(
        self,
        peer: Peer,
        *,
        calling_ae_title: str,
        called_ae_title: str,
        address: str,
        index: Index,
        number: int,
    ) -> None:
        self.peer = peer
        self.calling_ae_title = calling_ae_title
        self.called_ae_title = called_ae_title
        self.address = address
        self.log = _log.bind(peer=peer.name, calling_ae_title=calling_ae_title, association=number)
        self.stored_count = 0
        self.refused_count = 0
        self.stored_bytes = 0
        self._index = index
        self._row: int | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def may(self, service: Service) -> bool:
        """Return whether the peer has the right to ask for a service."""
        return service in self.peer.rights

    def row(self, at: float) -> int:
        """Return the association's row in the index, made now where there is none.

        Parameters
        ----------
        at
            Now, in seconds since the epoch.
        """
        with self._lock:
            if self._row is None:
                self._row = self._index.open_association(
                    self.calling_ae_title, self.called_ae_title, self.address, at
                )
            return self._row

    def close(self, outcome: AssociationOutcome, at: float) -> bool:
        """Record the end once, and return whether the association had sent anything."""
        with self._lock:
            row = None if self._is_closed else self._row
            self._is_closed = True
        if row is None:
            return False
        self._index.close_association(row, outcome, at)
        return True


def printable(text: str | None, most: int = 16) -> str:
    """Return what a peer wrote, cut to printable ASCII of at most `most` characters, for logs and the index."""
    return "".join(c if " " <= c <= "~" else "?" for c in (text or "").strip()[:most])
