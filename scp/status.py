"""DIMSE statuses, and the one place where an error becomes a status.

Sources: PS3.7 Annex C (general codes), PS3.4 B.2.3 (C-STORE), C.4.1.1.4 (C-FIND), C.4.2.1.5 (C-MOVE),
C.4.3.1.4 (C-GET).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from db.errors import DbError, IdentityError, MalformedDatasetError, QueryError, StoreError
from scp.contexts import Service
from scp.errors import (
    ConflictError,
    DestinationError,
    IncompleteRequestError,
    LowDiskError,
    MismatchError,
    NotAuthorisedError,
    ScpError,
    SopClassError,
)

MOST_COMMENT_CHARACTERS = 64
"""Error Comment (0000,0902) is a LO (PS3.7 Annex E.1, PS3.5 6.2)."""


class Outcome(Enum):
    """What a status says of a C-STORE."""

    COMPLETED = auto()
    WARNING = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One DIMSE status with its explanations."""

    code: int
    comment: str = ""
    """Error Comment, at most 64 printable ASCII characters."""
    offending_tag: tuple[int, int] | None = None
    """(group, element) of the Offending Element (0000,0901)."""


SUCCESS = Status(code=0x0000)
PENDING = Status(code=0xFF00)
PENDING_UNSUPPORTED_KEYS = Status(code=0xFF01)
"""Matches are continuing; an optional key was not supported for existence (PS3.4 C.4.1.1.4)."""
CANCELLED = Status(code=0xFE00)
SUBOPERATIONS_INCOMPLETE = Status(code=0xB000)
"""Sub-operations complete, one or more failed or ended with a warning (PS3.4 C.4.2.1.5)."""
SUBOPERATIONS_FAILED = Status(code=0xA702, comment="No sub-operation succeeded")
"""Refused: unable to perform sub-operations (PS3.4 C.4.2.1.5)."""

_PROCESSING_FAILURE = 0x0110
_UNABLE_TO_PROCESS = 0xC001
_UNABLE_TO_COUNT_MATCHES = 0xA701
_OUT_OF_RESOURCES = 0xA700

# The first type that fits decides.
_CODES: tuple[tuple[type[ScpError | DbError], int], ...] = (
    (NotAuthorisedError, 0x0124),
    (SopClassError, 0x0122),
    (IncompleteRequestError, 0x0212),
    (IdentityError, 0x0117),  # "violates the UID construction rules", PS3.7 C.5.12
    (ConflictError, 0x0111),
    (MismatchError, 0xA900),
    (QueryError, 0xA900),
    (DestinationError, 0xA801),
    (MalformedDatasetError, 0xC000),
    (LowDiskError, _OUT_OF_RESOURCES),
    (StoreError, _OUT_OF_RESOURCES),
)


def status_of(error: Exception, service: Service) -> Status:
    """Return the status that answers a request which ended with `error`.

    Only errors of our own packages explain themselves to the peer: their messages are free of patients' data.
    """
    if not isinstance(error, ScpError | DbError):
        return Status(code=_unexpected(service), comment="Processing failure")
    code = next((code for kind, code in _CODES if isinstance(error, kind)), _unexpected(service))
    if isinstance(error, StoreError) and service in (Service.GET, Service.MOVE):
        code = _UNABLE_TO_COUNT_MATCHES
    tag = read_tag(error.tag) if isinstance(error, QueryError) else None
    return Status(code=code, comment=write_comment(str(error)), offending_tag=tag)


def outcome_of(code: int) -> Outcome:
    """Return what a C-STORE response's status says of the instance (PS3.7 Annex C.1 to C.4)."""
    if code == 0x0000:
        return Outcome.COMPLETED
    if code in (0x0001, 0x0107, 0x0116) or 0xB000 <= code <= 0xBFFF:
        return Outcome.WARNING
    return Outcome.FAILED


def write_comment(text: str) -> str:
    """Return `text` as an Error Comment: printable ASCII without backslash, at most 64 characters."""
    plain = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in " ".join(text.split()))
    return plain[:MOST_COMMENT_CHARACTERS].rstrip()


def read_tag(text: str) -> tuple[int, int] | None:
    """Return group and element of ``(gggg,eeee)``, or None where it is something else."""
    digits = text.strip("()").split(",")
    try:
        group, element = (int(each, 16) for each in digits)
    except ValueError:
        return None
    return (group, element) if 0 <= group <= 0xFFFF and 0 <= element <= 0xFFFF else None


def _unexpected(service: Service) -> int:
    return _PROCESSING_FAILURE if service in (Service.ECHO, Service.STORE) else _UNABLE_TO_PROCESS
