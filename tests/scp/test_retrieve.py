"""The counters and final responses of C-MOVE and C-GET."""

from __future__ import annotations

from io import BytesIO

import pytest
from pynetdicom.dsutils import decode

from db.records import StoredFile, StoredInstance
from scp.retrieve import Tally, perform, write_failed_uids
from scp.send import SubOperation
from scp.status import Outcome

COMPLETED, WARNING, FAILED = Outcome.COMPLETED, Outcome.WARNING, Outcome.FAILED


def _done(outcome: Outcome, number: int = 1) -> SubOperation:
    file = StoredFile(key="0" * 64, dataset_sha256="0" * 64, dataset_offset=0, dataset_bytes=0)
    instance = StoredInstance(
        instance_id=number,
        sop_instance_uid=f"2.25.{number}",
        sop_class_uid="2.25.100",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        file=file,
    )
    return SubOperation(instance=instance, outcome=outcome)


class _Log:
    def info(self, *args, **fields):
        pass

    warning = info


class _Exchange:
    """Records the responses; cancelled or over after so many."""

    transfer_syntax_uid = "1.2.840.10008.1.2.1"
    session = type("Session", (), {"log": _Log()})()

    def __init__(self, *, cancelled_after=None, over_after=None):
        self.responses = []
        self._cancelled_after = cancelled_after
        self._over_after = over_after

    def respond(self, status, *, identifier=b"", counts=None):
        self.responses.append((status.code, identifier, counts))

    def is_cancelled(self):
        return self._cancelled_after is not None and len(self.responses) >= self._cancelled_after

    def is_over(self):
        return self._over_after is not None and len(self.responses) >= self._over_after


def _failed_list(identifier: bytes) -> list[str]:
    value = decode(BytesIO(identifier), False, True).FailedSOPInstanceUIDList
    return [] if not value else [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], 0x0000),
        ([COMPLETED, COMPLETED], 0x0000),
        ([COMPLETED, FAILED], 0xB000),
        ([WARNING], 0xB000),
        ([WARNING, FAILED], 0xB000),
        ([FAILED, FAILED], 0xA702),
    ],
)
def test_the_final_status_sums_up(outcomes, code):
    """Success only if all went well, failure only if none did."""
    tally = Tally(len(outcomes))
    for outcome in outcomes:
        tally.add(_done(outcome))
    assert tally.final_status().code == code


def test_counters_of_pending_and_final_responses():
    """Remaining falls, the others rise, and the final response tells no remaining but names what failed."""
    exchange = _Exchange()
    outcomes = [COMPLETED, FAILED, WARNING]
    perform(exchange, 3, (_done(outcome, number) for number, outcome in enumerate(outcomes)))
    numbers = [(c, n.remaining, n.completed, n.failed, n.warning) for c, _, n in exchange.responses]
    assert numbers == [(0xFF00, 2, 1, 0, 0), (0xFF00, 1, 1, 1, 0), (0xB000, None, 1, 1, 1)]
    assert _failed_list(exchange.responses[-1][1]) == ["2.25.1"]


def test_nothing_found_is_success():
    """No match, no sub-operation, no identifier."""
    exchange = _Exchange()
    perform(exchange, 0, (_done(COMPLETED) for _ in ()))
    ((code, identifier, counts),) = exchange.responses
    assert (code, identifier, counts.completed, counts.failed) == (0x0000, b"", 0, 0)


def test_cancel_stops_between_two():
    """The instance in hand is finished, the rest is left, and the work is closed."""
    closed = []

    def work():
        try:
            for number in range(5):
                yield _done(COMPLETED, number)
        finally:
            closed.append(True)

    exchange = _Exchange(cancelled_after=2)
    perform(exchange, 5, work())
    code, _, counts = exchange.responses[-1]
    assert (code, counts.remaining, counts.completed) == (0xFE00, 3, 2)
    assert closed


def test_nobody_is_answered_who_is_gone():
    """Where the peer went away, the work stops without a further response."""
    exchange = _Exchange(over_after=1)
    tally = perform(exchange, 3, (_done(COMPLETED, number) for number in range(3)))
    assert (len(exchange.responses), tally.remaining) == (1, 2)


@pytest.mark.parametrize(
    ("transfer_syntax_uid", "is_implicit", "is_little"),
    [
        ("1.2.840.10008.1.2", True, True),
        ("1.2.840.10008.1.2.1", False, True),
        ("1.2.840.10008.1.2.2", False, False),
    ],
)
def test_the_failed_list_is_readable(transfer_syntax_uid, is_implicit, is_little):
    """pydicom reads back what was written, in each encoding of identifiers."""
    uids = ["2.25.1", "2.25.22"]
    identifier = write_failed_uids(uids, transfer_syntax_uid)
    assert list(decode(BytesIO(identifier), is_implicit, is_little).FailedSOPInstanceUIDList) == uids
    assert len(identifier) % 2 == 0


def test_a_list_too_long_for_its_length_field_ends_with_a_whole_uid():
    """Explicit VR has two bytes for the length of UI: the list is cut, never the message broken."""
    uids = [f"2.25.{10**37 + number}" for number in range(3000)]
    identifier = write_failed_uids(uids, "1.2.840.10008.1.2.1")
    found = list(decode(BytesIO(identifier), False, True).FailedSOPInstanceUIDList)
    assert found == uids[: len(found)]
    assert len(found) > 1000
    assert len(write_failed_uids(uids, "1.2.840.10008.1.2")) > 2**16
