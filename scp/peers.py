"""Who may call, and where a C-MOVE may send: default deny.

A peer is an AE title that calls from one of its addresses. Host names are resolved once, at the start: an answer of
the name server at the moment of a call would decide who may read patients' images.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

import structlog

from scp.contexts import EVERY_RIGHT, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Peer as PeerSettings
    from config.settings import Settings

_log = structlog.get_logger(__name__)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK_NAME = "loopback"
"""How the log names a caller from this machine where no peers are configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where an association can be requested."""

    ae_title: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A peer that may call."""

    name: str
    ae_title: str
    networks: tuple[Network, ...] = ()
    rights: frozenset[Service] = frozenset()
    destination: Destination | None = None
    """None where nothing can be sent to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why an association is not accepted: the fields of A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    result: int
    source: int
    diagnostic: int
    reason: str


_REJECTED_PERMANENT = 1
_SERVICE_USER = 1
CALLING_UNKNOWN = Rejection(
    result=_REJECTED_PERMANENT, source=_SERVICE_USER, diagnostic=3, reason="calling AE title not recognised"
)
CALLED_UNKNOWN = Rejection(
    result=_REJECTED_PERMANENT, source=_SERVICE_USER, diagnostic=7, reason="called AE title not recognised"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerBook:
    """All peers, resolved."""

    ae_title: str
    """Our own."""
    peers: tuple[Peer, ...] = ()

    def destination(self, ae_title: str) -> Destination | None:
        """Return where the peer of that AE title can be called, or None."""
        found = (peer.destination for peer in self.peers if peer.ae_title == ae_title.strip())
        return next((each for each in found if each is not None), None)


def admit(book: PeerBook, calling_ae_title: str, called_ae_title: str, address: str) -> Peer | Rejection:
    """Return the peer that calls, or why it may not.

    Without configured peers every caller from this machine has every right, whatever it calls us. With them the
    caller must be one, by AE title and address, and must call us by our AE title: a modality that was given a
    wrong one is told so, rather than find its images where nobody looks.

    Parameters
    ----------
    book
        The configured peers.
    calling_ae_title, called_ae_title
        As the peer sent them.
    address
        Where the connection comes from, an IP address.
    """
    caller = _read_address(address)
    if not book.peers:
        if not caller.is_loopback:
            return CALLING_UNKNOWN
        return Peer(name=LOOPBACK_NAME, ae_title=calling_ae_title.strip(), rights=EVERY_RIGHT)
    for peer in book.peers:
        if peer.ae_title == calling_ae_title.strip() and any(caller in network for network in peer.networks):
            return peer if called_ae_title.strip() == book.ae_title else CALLED_UNKNOWN
    return CALLING_UNKNOWN


def read_peers(settings: Settings, resolve: Callable[[str], list[str]] | None = None) -> PeerBook:
    """Return the peers of the settings with their host names resolved.

    A host name that cannot be resolved is logged and admits nobody; the other peers are not kept waiting for it.
    """
    return PeerBook(
        ae_title=settings.node.ae_title.strip(),
        peers=tuple(_read_peer(peer, resolve or _resolve) for peer in settings.peers),
    )


def _read_peer(peer: PeerSettings, resolve: Callable[[str], list[str]]) -> Peer:
    destination = None
    if peer.port is not None and peer.host is not None:
        destination = Destination(ae_title=peer.ae_title.strip(), host=peer.host, port=peer.port)
    return Peer(
        name=peer.name,
        ae_title=peer.ae_title.strip(),
        networks=tuple(_networks(peer, resolve)),
        rights=frozenset(Service(right) for right in peer.rights),
        destination=destination,
    )


def _networks(peer: PeerSettings, resolve: Callable[[str], list[str]]) -> Iterator[Network]:
    for address in peer.addresses:
        try:
            yield ip_network(address, strict=False)
            continue
        except ValueError:
            pass  # a host name
        try:
            found = resolve(address)
        except OSError:
            _log.warning("peer host name not resolved", peer=peer.name)
            continue
        yield from (ip_network(_read_address(each)) for each in found)


def _resolve(host: str) -> list[str]:
    return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})


def _read_address(text: str) -> Address:
    """Return the address without zone; an IPv4 address that an IPv6 socket wraps is the IPv4 address."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
