"""What C-MOVE and C-GET share: which instances, how far the sub-operations are, and how it is told.

Sources: PS3.4 C.4.2 and C.4.3, PS3.7 9.1.3 and 9.1.4.
"""

from __future__ import annotations

import struct
from contextlib import closing
from typing import TYPE_CHECKING

from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from scp.exchange import Counts
from scp.status import (
    CANCELLED,
    PENDING,
    SUBOPERATIONS_FAILED,
    SUBOPERATIONS_INCOMPLETE,
    SUCCESS,
    Outcome,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from scp.exchange import Exchange
    from scp.send import SubOperation

_MOST_EXPLICIT_VALUE_BYTES = 65534
"""UI has a two byte length where the VR is written (PS3.5 7.1.2)."""


class Tally:
    """How far the sub-operations of one request are.

    Parameters
    ----------
    total
        How many there are to be.
    """

    def __init__(self, total: int) -> None:
        self.remaining = total
        self.completed = 0
        self.warning = 0
        self.failed_uids: list[str] = []

    def add(self, done: SubOperation) -> None:
        """Count one that was done."""
        self.remaining -= 1
        if done.outcome is Outcome.COMPLETED:
            self.completed += 1
        elif done.outcome is Outcome.WARNING:
            self.warning += 1
        else:
            self.failed_uids.append(done.instance.sop_instance_uid)

    def counts(self, *, with_remaining: bool) -> Counts:
        """Return the counts for a response; only a pending or cancelled one tells what remains."""
        return Counts(
            remaining=self.remaining if with_remaining else None,
            completed=self.completed,
            failed=len(self.failed_uids),
            warning=self.warning,
        )

    def final_status(self) -> Status:
        """Return the status that sums them up (PS3.4 C.4.2.1.5)."""
        if not self.failed_uids and not self.warning:
            return SUCCESS
        if not self.completed and not self.warning:
            return SUBOPERATIONS_FAILED
        return SUBOPERATIONS_INCOMPLETE


def perform(exchange: Exchange, total: int, work: Generator[SubOperation, None, None]) -> Tally:
    """Do the sub-operations one by one, tell the peer after each, and return how they ended.

    A C-CANCEL is heeded between two of them; where the peer is gone, the rest is left undone.

    Parameters
    ----------
    exchange
        The C-MOVE or C-GET.
    total
        How many sub-operations there are.
    work
        Does one with each step; it is closed at the end.
    """
    tally = Tally(total)
    with closing(work):
        while tally.remaining:
            if exchange.is_over():
                return tally
            if exchange.is_cancelled():
                _finish(exchange, tally, CANCELLED)
                return tally
            done = next(work)
            tally.add(done)
            if done.outcome is Outcome.FAILED:
                _log_failure(exchange, done)
            if tally.remaining:
                exchange.respond(PENDING, counts=tally.counts(with_remaining=True))
    if not exchange.is_over():
        _finish(exchange, tally, tally.final_status())
    return tally


def _log_failure(exchange: Exchange, done: SubOperation) -> None:
    exchange.session.log.warning(
        "sub-operation failed",
        sop_instance_uid=done.instance.sop_instance_uid,
        status="" if done.code is None else f"0x{done.code:04X}",
        reason=done.reason,
    )


def _finish(exchange: Exchange, tally: Tally, status: Status) -> None:
    # The list belongs to cancelled, warning and failure (PS3.4 C.4.2.1.4.2), empty where nothing failed.
    identifier = b""
    if status is not SUCCESS:
        identifier = write_failed_uids(tally.failed_uids, exchange.transfer_syntax_uid)
    exchange.respond(status, identifier=identifier, counts=tally.counts(with_remaining=status is CANCELLED))
    exchange.session.log.info(
        "retrieval ended",
        status=f"0x{status.code:04X}",
        completed=tally.completed,
        failed=len(tally.failed_uids),
        warning=tally.warning,
        remaining=tally.remaining,
    )


def write_failed_uids(uids: Sequence[str], transfer_syntax_uid: str) -> bytes:
    """Return an identifier with Failed SOP Instance UID List (0008,0058).

    Where the transfer syntax has no room for all, the list ends early; the counts tell how many failed.
    """
    is_implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    value = "\\".join(uids).encode("ascii")
    if not is_implicit and len(value) > _MOST_EXPLICIT_VALUE_BYTES:
        value = value[: value.rindex(b"\\", 0, _MOST_EXPLICIT_VALUE_BYTES)]
    value += b"\0" * (len(value) % 2)
    if is_implicit:
        return struct.pack("<HHI", 0x0008, 0x0058, len(value)) + value
    order = ">" if transfer_syntax_uid == ExplicitVRBigEndian else "<"
    return struct.pack(f"{order}HH2sH", 0x0008, 0x0058, b"UI", len(value)) + value
