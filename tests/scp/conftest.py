"""A node for each test that wants one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from pynetdicom.transport import AssociationSocket

from tests.scp.nodes import RunningNode, running_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    """A node without configured peers: this machine may do everything."""
    with running_node(tmp_path / "data") as running:
        yield running


@pytest.fixture(autouse=True)
def stock_sockets_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock pynetdicom, our peer here, forgets sockets whose shutdown fails; Python then warns in some later test."""

    def shut_down(self: AssociationSocket) -> None:
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(2)
            self.socket.close()

    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", shut_down)
