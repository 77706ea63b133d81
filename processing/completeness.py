"""Is a series complete? The verdict on the evidence, as a pure function with reasons.

The rules as a table. Each line gives the earliest moment at which the series may be closed, and the latest
line that holds decides:

===========================================  ===================================================
what is true                                 close not before
===========================================  ===================================================
an association that sent to it is open       quiet_s after the last arrival
no association of it was ever known          quiet_s after the last arrival
an association of it broke                   quiet_s after the last arrival or end of association
all are released, nothing counts the series  release_wait_s after the last arrival or release
the header count is met and there is no gap  the last arrival or release
the header count is not met, or a gap        incomplete_after_s after the last arrival
===========================================  ===================================================

When that moment has come the verdict is `Incomplete` if something is missing, else `Complete`; before it the
verdict is `WaitUntil` that moment. So waiting always ends, and a verdict never changes by time alone.
Reasons are sentences with numbers; they hold no attribute values of a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from processing.gaps import PlaneEvidence, missing_planes

if TYPE_CHECKING:
    from collections.abc import Sequence


class SeriesEvidence(Protocol):
    """What is known of a series that is still receiving; `db.records.SeriesFacts` is one."""

    @property
    def instance_count(self) -> int:
        """How many instances were received."""

    @property
    def expected_count(self) -> int | None:
        """The largest count that a header of the series gives, or None."""

    @property
    def open_associations(self) -> int:
        """Associations that sent to the series and are still open."""

    @property
    def broken_associations(self) -> int:
        """Associations that sent to the series and ended without release."""

    @property
    def last_arrival_at(self) -> float:
        """When the last instance came, in seconds."""

    @property
    def last_release_at(self) -> float | None:
        """When the last association ended, in seconds, or None."""

    @property
    def geometry(self) -> Sequence[PlaneEvidence]:
        """Position and orientation of each instance, in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRule:
    """How long to wait for what."""

    release_wait_s: float = 5.0
    """After the release, for a sender that opens the next association; s."""
    quiet_s: float = 60.0
    """Without arrivals until an open or broken association is taken as finished; s."""
    incomplete_after_s: float = 120.0
    """Without arrivals until what is missing is taken as lost; s."""


@dataclass(frozen=True, slots=True)
class Complete:
    """Nothing that was promised is missing."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Something is missing and was waited for; the reasons name it."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """The evidence is not in; look again at `moment`, or when something arrives."""

    moment: float
    reasons: tuple[str, ...]


Verdict = Complete | Incomplete | WaitUntil


def judge(facts: SeriesEvidence, now: float, rule: CompletionRule) -> Verdict:
    """Return whether a series is complete, incomplete, or when to look again.

    Parameters
    ----------
    facts
        The evidence; the order of its geometry does not matter.
    now
        The moment of the look, in seconds on the clock of the facts.
    rule
        The waiting times.

    Returns
    -------
    Verdict
        A `WaitUntil` always names a moment after `now`.
    """
    missing = (*_missing_count(facts), *missing_planes(facts.geometry))
    settled_at, waiting_for = _settling(facts, rule, counted=_count_is_met(facts) and not missing)
    due = max(settled_at, facts.last_arrival_at + rule.incomplete_after_s) if missing else settled_at
    if now < due:
        return WaitUntil(due, (*missing, waiting_for))
    if missing:
        return Incomplete((*missing, f"Nothing came for {now - facts.last_arrival_at:.0f} s."))
    return Complete((*_count_evidence(facts), *_association_evidence(facts), *_geometry_evidence(facts)))


def _settling(facts: SeriesEvidence, rule: CompletionRule, *, counted: bool) -> tuple[float, str]:
    """Return when the senders are taken as finished, and the sentence of what is waited for."""
    last_event = max(facts.last_arrival_at, facts.last_release_at or facts.last_arrival_at)
    if facts.open_associations:
        sentence = f"Open associations that sent to the series: {facts.open_associations}; waiting for their release."
        return facts.last_arrival_at + rule.quiet_s, sentence
    if facts.broken_associations:
        sentence = (
            f"Associations that broke: {facts.broken_associations}; waiting for the sender to come again."
        )
        return last_event + rule.quiet_s, sentence
    if facts.last_release_at is None:
        return (
            facts.last_arrival_at + rule.quiet_s,
            "No association of the series is known; waiting for quiet.",
        )
    if counted:
        return last_event, "All that the headers count is here."
    return (
        last_event + rule.release_wait_s,
        "All associations are released; waiting for the next one to open.",
    )


def _count_is_met(facts: SeriesEvidence) -> bool:
    return facts.expected_count == facts.instance_count


def _missing_count(facts: SeriesEvidence) -> tuple[str, ...]:
    expected, received = facts.expected_count, facts.instance_count
    if expected is None or expected <= received:
        return ()
    return (f"The headers count {expected} instances; {received} came, {expected - received} are missing.",)


def _count_evidence(facts: SeriesEvidence) -> tuple[str, ...]:
    expected, received = facts.expected_count, facts.instance_count
    if expected is None or expected <= 0:
        return (f"{received} instances came; no header counts them.",)
    if expected == received:
        return (f"All {expected} instances that the headers count came.",)
    return (
        f"{received} instances came, more than the {expected} of the headers, so the count is no evidence.",
    )


def _association_evidence(facts: SeriesEvidence) -> tuple[str, ...]:
    sentences = []
    if facts.open_associations:
        sentences.append(f"Still open, but quiet: {facts.open_associations} associations.")
    if facts.broken_associations:
        sentences.append(
            f"Ended without release, and nothing came after: {facts.broken_associations} associations."
        )
    if not sentences:
        released = facts.last_release_at is not None
        sentences.append(
            "All associations were released." if released else "No association of the series is known."
        )
    return tuple(sentences)


def _geometry_evidence(facts: SeriesEvidence) -> tuple[str, ...]:
    placed = sum(
        plane.position_lps is not None and plane.orientation_lps is not None for plane in facts.geometry
    )
    if not placed:
        return ("No instance has a position in the patient, so a gap could not be seen.",)
    return (f"No gap between the {placed} instances that have a position.",)
