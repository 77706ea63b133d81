"""Who may call: default deny."""

from __future__ import annotations

import socket

import pytest

from config.settings import Peer as PeerSettings
from config.settings import Settings
from scp.contexts import EVERY_RIGHT, Service
from scp.peers import CALLED_UNKNOWN, CALLING_UNKNOWN, Destination, Peer, admit, read_peers


def _settings(*peers: PeerSettings) -> Settings:
    return Settings(peers=peers)


CT1 = PeerSettings(name="ct1", ae_title="CT1", addresses=("192.0.2.7",), rights=("echo", "store"))
PACS = PeerSettings(
    name="pacs", ae_title="PACS", addresses=("198.51.100.0/24", "pacs.example"), port=104, rights=("move",)
)


def _resolve(host: str) -> list[str]:
    return {"pacs.example": ["203.0.113.9", "2001:db8::9"]}[host]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_without_peers_this_machine_may_do_everything(address):
    """A fresh node works for its own machine, whatever AE title it is called by."""
    peer = admit(read_peers(_settings()), "ANYBODY", "ANY-SCP", address)
    assert isinstance(peer, Peer)
    assert peer.rights == EVERY_RIGHT


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"])
def test_without_peers_nobody_else_may_call(address):
    """Default deny."""
    assert admit(read_peers(_settings()), "CT1", "DARKROOM", address) == CALLING_UNKNOWN


def test_a_peer_is_title_and_address():
    """Both must fit, and it has the rights that it was given and no other."""
    book = read_peers(_settings(CT1, PACS), _resolve)
    peer = admit(book, "CT1 ", " DARKROOM", "192.0.2.7")
    assert isinstance(peer, Peer)
    assert (peer.name, peer.rights) == ("ct1", {Service.ECHO, Service.STORE})
    assert admit(book, "CT1", "DARKROOM", "192.0.2.8") == CALLING_UNKNOWN
    assert admit(book, "ct1", "DARKROOM", "192.0.2.7") == CALLING_UNKNOWN
    assert admit(book, "CT1", "DARKROOM", "127.0.0.1") == CALLING_UNKNOWN
    assert admit(book, "", "DARKROOM", "192.0.2.7") == CALLING_UNKNOWN


def test_with_peers_the_called_title_must_be_ours():
    """A modality with a wrong called AE title is told so; a stranger is not told that the title was wrong."""
    book = read_peers(_settings(CT1))
    assert admit(book, "CT1", "ANY-SCP", "192.0.2.7") == CALLED_UNKNOWN
    assert admit(book, "CT2", "ANY-SCP", "192.0.2.7") == CALLING_UNKNOWN


@pytest.mark.parametrize(
    "address", ["198.51.100.77", "203.0.113.9", "2001:db8::9", "::ffff:203.0.113.9", "2001:db8::9%eth0"]
)
def test_networks_host_names_and_ipv6(address):
    """A peer calls from a network, or from any address of its host name, also where IPv6 wraps IPv4."""
    assert isinstance(admit(read_peers(_settings(PACS), _resolve), "PACS", "DARKROOM", address), Peer)


def test_a_host_name_that_is_not_known_admits_nobody():
    """A dead name server does not keep the node from starting, and opens no door."""

    def fail(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    book = read_peers(_settings(PACS, CT1), fail)
    assert admit(book, "PACS", "DARKROOM", "203.0.113.9") == CALLING_UNKNOWN
    assert isinstance(admit(book, "PACS", "DARKROOM", "198.51.100.1"), Peer)
    assert isinstance(admit(book, "CT1", "DARKROOM", "192.0.2.7"), Peer)


def test_destinations_are_peers_with_port_and_host():
    """C-MOVE knows configured peers with a port, called at the first address that is no network."""
    only_network = PeerSettings(name="net", ae_title="NET", addresses=("10.0.0.0/8",), port=104)
    book = read_peers(_settings(CT1, PACS, only_network), _resolve)
    assert book.destination("PACS ") == Destination(ae_title="PACS", host="pacs.example", port=104)
    assert book.destination("CT1") is None
    assert book.destination("NET") is None
    assert book.destination("NOBODY") is None
