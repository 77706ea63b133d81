"""The kinds of value that the settings are made of, each with the check that its text must pass.

The sentence of a refusal never repeats the value: it may be a secret or a name.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, FiniteFloat

ROUTE_KEYWORDS = (
    "PatientID",
    "StudyDescription",
    "Modality",
    "SeriesDescription",
    "BodyPartExamined",
    "ProtocolName",
    "Manufacturer",
    "StationName",
)
"""The attributes that a route may match: those the index keeps of every series."""

_T = TypeVar("_T")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_NUMBERS = re.compile(r"[\d.]+")


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach a host."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def check_different(value: tuple[_T, ...]) -> tuple[_T, ...]:
    """Return a list in which nothing stands twice."""
    if len(set(value)) != len(value):
        raise ValueError("Nothing may stand here twice.")
    return value


def check_some(value: tuple[_T, ...]) -> tuple[_T, ...]:
    """Return a list that has something in it, and nothing twice."""
    if not value:
        raise ValueError("At least one is needed.")
    return check_different(value)


def check_route_keywords(value: dict[str, str]) -> dict[str, str]:
    """Return the conditions of a route, whose keywords are all known."""
    if set(value) - set(ROUTE_KEYWORDS):
        raise ValueError(f"A route can match {', '.join(ROUTE_KEYWORDS)} and nothing else.")
    return value


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _check_ae_title(value: str) -> str:
    """Return an AE title of PS3.5 section 6.2: 1 to 16 characters, no backslash, no control characters."""
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", value) or value != value.strip():
        raise ValueError(
            "An AE title has 1 to 16 ASCII characters, no backslash and no space at either end (PS3.5 6.2)."
        )
    return value


def _check_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise ValueError("A name has 1 to 64 letters, digits, dots, dashes and underscores.")
    return value


def _check_host(value: str) -> str:
    """Return an IP address or a host name (RFC 1123)."""
    if _is_address(value) or (
        len(value) <= 253 and not re.fullmatch(r"[\d.]+", value) and _HOST_NAME.fullmatch(value)
    ):
        return value
    raise ValueError("An IP address or a host name is expected.")


def _check_peer_address(value: str) -> str:
    """Return an IP address, a network or a host name."""
    if "/" not in value:
        return _check_host(value)
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("A network is written like 192.0.2.0/24, with no host bits set.") from None
    return value


def _check_folder(value: Path) -> Path:
    """Return a path with ``~`` resolved; a relative one would depend on where the node was started."""
    try:
        path = value.expanduser()
    except RuntimeError:
        raise ValueError("There is no home folder that ~ could mean here.") from None
    if not path.is_absolute():
        raise ValueError("An absolute path is expected, or one that begins with ~/.")
    return path


AeTitle = Annotated[str, AfterValidator(_check_ae_title)]
Name = Annotated[str, AfterValidator(_check_name)]
Host = Annotated[str, AfterValidator(_check_host)]
PeerAddress = Annotated[str, AfterValidator(_check_peer_address)]
Folder = Annotated[Path, AfterValidator(_check_folder)]
Seconds = Annotated[FiniteFloat, Field(gt=0, le=30 * 86400)]
"""More than nothing, at most thirty days."""
