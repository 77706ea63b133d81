"""The intake: looks at series that changed, judges them, and closes them with their jobs queued."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from db.errors import DbError
from db.records import SeriesState
from processing.completeness import Complete, CompletionRule, WaitUntil, judge

if TYPE_CHECKING:
    from config.settings import Completion
    from darkroom.routes import Router
    from db.jobs import JobQueue
    from db.ledger import Ledger
    from db.records import SeriesFacts

_log = structlog.get_logger(__name__)

SERIES_A_LOOK = 20
"""How many series one look judges at most, so that its end, the sign of life, is never far; the next takes more."""
_AFTER_FAILURE_S = 1.0
_REST = 10.0
"""A look reads a series whole; resting so many times as long as it took leaves the processor to the receiving."""
_LONGEST_REST_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Judges the series that are due and closes those whose evidence suffices."""

    ledger: Ledger
    queue: JobQueue
    router: Router
    rule: CompletionRule

    def look(self, now: float) -> int:
        """Judge the first series that are due at `now` (seconds since the epoch), and return how many were closed."""
        return sum(self._judge_one(facts, now) for facts in self.ledger.due(now, SERIES_A_LOOK))

    def _judge_one(self, facts: SeriesFacts, now: float) -> bool:
        verdict = judge(facts, now, self.rule)
        if isinstance(verdict, WaitUntil):
            self.ledger.postpone(facts.series_id, verdict.moment, change_count=facts.change_count)
            return False
        state = SeriesState.COMPLETE if isinstance(verdict, Complete) else SeriesState.INCOMPLETE
        revision = self.ledger.close(
            facts.series_id,
            state=state,
            reasons=verdict.reasons,
            at=now,
            instance_count=facts.instance_count,
            jobs=self.router.requests(self.ledger.series_attributes(facts.series_id)),
            enqueue=self.queue.enqueue,
        )
        if revision is None:
            return False
        _log.info(
            "series closed",
            series_instance_uid=facts.series_instance_uid,
            state=state.value,
            revision=revision,
            instances=facts.instance_count,
        )
        return True


class IntakeThread:
    """The intake, looking once in every interval, or less often where a look takes long."""

    def __init__(self, intake: Intake, *, look_every_s: float) -> None:
        self._intake = intake
        self._interval_s = look_every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake")
        self._looked_at = time.monotonic()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the present look and end."""
        self._stopping.set()
        self._thread.join()

    def silent_s(self) -> float:
        """Return how long ago the last look ended, in seconds: the intake's sign of life."""
        return time.monotonic() - self._looked_at

    def _run(self) -> None:
        pause_s = self._interval_s
        while not self._stopping.wait(pause_s):
            started = time.monotonic()
            try:
                self._intake.look(time.time())
            except DbError as error:
                # A full disk or a locked index passes; what is due stays due, and the next look sees it again.
                _log.error("look failed", error=str(error), hint=error.hint)
                self._stopping.wait(_AFTER_FAILURE_S)
            self._looked_at = time.monotonic()
            rest_s = min(_REST * (self._looked_at - started), _LONGEST_REST_S)
            pause_s = max(self._interval_s, rest_s)


def completion_rule(completion: Completion) -> CompletionRule:
    """Return the rule that the settings ask for."""
    return CompletionRule(
        release_wait_s=completion.release_wait_s,
        quiet_s=completion.quiet_s,
        incomplete_after_s=completion.incomplete_after_s,
    )
