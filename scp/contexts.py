"""Which presentation contexts the node accepts (PS3.8 9.3.2.2, PS3.7 D.3.3.4): pure.

Storage takes every SOP class: what the UID dictionary knows as storage, and what it does not know at all, for a
SOP class newer than this program or a manufacturer's own is stored like any other. What the dictionary knows as
something else (print, worklist, commitment, ...) is not accepted.

Storage takes every transfer syntax of the standard, retired ones too, in the form the sender has: nothing is decoded
and nothing transcoded. One that the dictionary does not know yet, but that has the standard's own root, is taken as
Explicit VR Little Endian, which every transfer syntax added since 1993 is (PS3.5 Annex A); the scan of each data set
finds out if it is not. Private transfer syntaxes are refused: their encoding cannot be known, so the data set could
not be checked, indexed or given to anybody else. Their senders always offer Implicit VR Little Endian beside them
(PS3.5 10.1).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.presentation import PresentationContext

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

MOST_CONTEXTS = 128
"""Presentation context IDs are the odd numbers from 1 to 255 (PS3.8 9.3.2.2)."""

UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian))
"""In the order we like them: explicit keeps the VRs of private elements, and big endian is retired."""

_DICOM_ROOT = "1.2.840.10008."
_TRANSFER_SYNTAX_ROOT = "1.2.840.10008.1.2"
_NOT_DATA_SETS = frozenset({"1.2.840.10008.1.2.6.2"})  # XML Encoding (retired)
_NOT_STORED = frozenset(
    {
        "1.2.840.10008.1.3.10",  # Media Storage Directory: a file on a medium, not an object on the network
        "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
        "1.2.840.10008.1.20.2",  # Storage Commitment Pull Model (retired)
    }
)
_LOSSLESS = frozenset(
    {
        *UNCOMPRESSED,
        str(DeflatedExplicitVRLittleEndian),
        "1.2.840.10008.1.2.1.98",  # Encapsulated Uncompressed
        "1.2.840.10008.1.2.4.57",  # JPEG Lossless, Process 14
        "1.2.840.10008.1.2.4.58",  # JPEG Lossless, Process 15 (retired)
        "1.2.840.10008.1.2.4.65",  # JPEG Lossless, Hierarchical, Process 28 (retired)
        "1.2.840.10008.1.2.4.66",  # JPEG Lossless, Hierarchical, Process 29 (retired)
        "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
        "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
        "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless Only
        "1.2.840.10008.1.2.4.92",  # JPEG 2000 Part 2 Lossless Only
        "1.2.840.10008.1.2.4.110",  # JPEG XL Lossless
        "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless Only
        "1.2.840.10008.1.2.4.202",  # HTJ2K with RPCL Lossless Only
        "1.2.840.10008.1.2.5",  # RLE Lossless
        "1.2.840.10008.1.2.8.1",  # Deflated Image Frame Compression
    }
)


class Service(StrEnum):
    """What a peer may ask for; the values are the names of the rights in the settings."""

    ECHO = "echo"
    STORE = "store"
    FIND = "find"
    GET = "get"
    MOVE = "move"


EVERY_RIGHT = frozenset(Service)

VERIFICATION = "1.2.840.10008.1.1"

_SERVICES = {
    VERIFICATION: Service.ECHO,
    "1.2.840.10008.5.1.4.1.2.1.1": Service.FIND,  # Patient Root
    "1.2.840.10008.5.1.4.1.2.1.2": Service.MOVE,
    "1.2.840.10008.5.1.4.1.2.1.3": Service.GET,
    "1.2.840.10008.5.1.4.1.2.2.1": Service.FIND,  # Study Root
    "1.2.840.10008.5.1.4.1.2.2.2": Service.MOVE,
    "1.2.840.10008.5.1.4.1.2.2.3": Service.GET,
    "1.2.840.10008.5.1.4.1.2.3.1": Service.FIND,  # Patient/Study Only (retired)
    "1.2.840.10008.5.1.4.1.2.3.2": Service.MOVE,
    "1.2.840.10008.5.1.4.1.2.3.3": Service.GET,
}


def service_of(abstract_syntax: str) -> Service | None:
    """Return the service that an abstract syntax asks for, or None where the node has none.

    Parameters
    ----------
    abstract_syntax
        As the peer sent it; what is not a UID is no service.
    """
    if abstract_syntax in _SERVICES:
        return _SERVICES[abstract_syntax]
    return Service.STORE if _is_storage(abstract_syntax) else None


def _is_storage(abstract_syntax: str) -> bool:
    if not looks_like_uid(abstract_syntax) or abstract_syntax in _NOT_STORED:
        return False
    known = UID_dictionary.get(abstract_syntax)
    if known is None:
        return True
    name, kind = known[0], known[1]
    return kind == "SOP Class" and ("Storage" in name or not name)


def looks_like_uid(text: str) -> bool:
    """Return whether a text is digits and dots, at most 64, as a UID is (PS3.5 9.1)."""
    return 0 < len(text) <= 64 and text.isascii() and all(part.isdigit() for part in text.split("."))


def is_public_transfer_syntax(uid: str) -> bool:
    """Return whether data sets in this transfer syntax can be kept: see the module's first lines."""
    if not looks_like_uid(uid) or uid in _NOT_DATA_SETS:
        return False
    return uid == _TRANSFER_SYNTAX_ROOT or uid.startswith(f"{_TRANSFER_SYNTAX_ROOT}.")


def preferred_transfer_syntaxes(proposed: Iterable[str], service: Service) -> list[str]:
    """Return the proposed transfer syntaxes that the service takes, the best first.

    For storage the sender's order tells what it holds, with two corrections. The uncompressed ones count as one
    choice, in our order. The lossy ones come last: a sender that holds uncompressed pixels must never be led to
    throw some of them away.
    """
    # A dictionary keeps the order of first mention.
    usable = list(dict.fromkeys(uid for uid in proposed if is_public_transfer_syntax(uid)))
    plain = [uid for uid in UNCOMPRESSED if uid in usable]
    if service is not Service.STORE:
        return plain
    ordered: list[str] = []
    for uid in sorted(usable, key=lambda uid: uid not in _LOSSLESS):
        ordered.extend(each for each in (plain if uid in plain else [uid]) if each not in ordered)
    return ordered


def supported_contexts(
    proposed: Sequence[tuple[str, Sequence[str]]],
    *,
    rights: Collection[Service],
    with_roles: Collection[str],
) -> list[PresentationContext]:
    """Return what to support of the proposed contexts, as pynetdicom's negotiation wants it.

    Parameters
    ----------
    proposed
        Abstract syntax and transfer syntaxes of each proposed context; an abstract syntax may come several times.
    rights
        What the peer may do.
    with_roles
        The SOP classes for which the peer proposes SCP/SCU roles.

    Returns
    -------
    list of PresentationContext
        One per abstract syntax. For storage, the peer may be SCU where it may store, and SCP (it receives by C-GET)
        where it may get; the SCP role must be proposed, else the peer would be SCU by default (PS3.7 D.3.3.4).
    """
    offered: dict[str, list[str]] = {}
    for abstract_syntax, transfer_syntaxes in proposed:
        offered.setdefault(abstract_syntax, []).extend(transfer_syntaxes)
    contexts = []
    for abstract_syntax, transfer_syntaxes in offered.items():
        service = service_of(abstract_syntax)
        if service is None or not _may(service, abstract_syntax, rights, with_roles):
            continue
        # Where none is taken, those that we do name were not proposed: the peer is told that the transfer syntax is
        # the reason, and not the SOP class (PS3.8 Table 9-18).
        preferred = preferred_transfer_syntaxes(transfer_syntaxes, service) or UNCOMPRESSED
        context = build_context(abstract_syntax, preferred)
        if service is Service.STORE:
            context.scu_role = Service.STORE in rights
            context.scp_role = Service.GET in rights
        contexts.append(context)
    return contexts


def _may(
    service: Service, abstract_syntax: str, rights: Collection[Service], with_roles: Collection[str]
) -> bool:
    by_role = service is Service.STORE and Service.GET in rights and abstract_syntax in with_roles
    return service in rights or by_role


def build_context(abstract_syntax: str, transfer_syntaxes: Iterable[str]) -> PresentationContext:
    """Return a presentation context without an ID."""
    context = PresentationContext()
    context.abstract_syntax = abstract_syntax
    context.transfer_syntax = list(transfer_syntaxes)
    return context


def proposals(
    pairs: Iterable[tuple[str, str]], *, alternatives: Mapping[str, str]
) -> list[PresentationContext]:
    """Return the contexts to propose for (SOP class, transfer syntax) pairs, each transfer syntax in its own.

    Parameters
    ----------
    pairs
        What the data sets to be sent are.
    alternatives
        Transfer syntax -> the one it can be re-encoded to, proposed beside it.
    """
    wanted: dict[tuple[str, str], None] = {}
    for sop_class_uid, transfer_syntax_uid in pairs:
        wanted[sop_class_uid, transfer_syntax_uid] = None
        if transfer_syntax_uid in alternatives:
            wanted[sop_class_uid, alternatives[transfer_syntax_uid]] = None
    return [build_context(sop_class_uid, [uid]) for sop_class_uid, uid in wanted]
