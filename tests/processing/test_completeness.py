from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.records import InstanceGeometry, SeriesFacts
from processing.completeness import Complete, CompletionRule, Incomplete, WaitUntil, judge

RULE = CompletionRule(release_wait_s=5.0, quiet_s=60.0, incomplete_after_s=300.0)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def slices(*offsets_mm: float) -> tuple[InstanceGeometry, ...]:
    return tuple(
        InstanceGeometry(sop_instance_uid=f"2.25.{n}", position_lps=(-120.0, -90.0, z), orientation_lps=AXIAL)
        for n, z in enumerate(offsets_mm)
    )


STACK = slices(0, 5, 10, 15, 20, 25)
GAP = slices(0, 5, 10, 15, 25, 30)  # 20 is missing


def facts(**changes: Any) -> SeriesFacts:
    """A series of six slices: the last came at 1000 s, its association was released at 1001 s."""
    usual: dict[str, Any] = {
        "series_id": 1,
        "series_instance_uid": "2.25.1",
        "modality": "CT",
        "instance_count": 6,
        "expected_count": None,
        "open_associations": 0,
        "broken_associations": 0,
        "last_arrival_at": 1000.0,
        "last_release_at": 1001.0,
        "geometry": STACK,
    }
    return SeriesFacts(**(usual | changes))


@dataclass(frozen=True)
class Case:
    """A line of the table: what is true, until when it waits, and what is said then."""

    name: str
    waits_until: float | None
    says: type[Complete | Incomplete]
    word: str
    true: dict[str, Any] = field(default_factory=dict)


TABLE = [
    Case("released, count met", None, Complete, "All 6 instances", {"expected_count": 6}),
    Case("released, nothing counts", 1006.0, Complete, "no header counts", {}),
    Case(
        "released before the last arrival was written",
        1005.0,
        Complete,
        "released",
        {"last_release_at": 999.0},
    ),
    Case("released, count not met", 1300.0, Incomplete, "4 are missing", {"expected_count": 10}),
    Case("released, more than counted", 1006.0, Complete, "no evidence", {"expected_count": 5}),
    Case("released, a count of zero is none", 1006.0, Complete, "no header counts", {"expected_count": 0}),
    Case("released, gap", 1300.0, Incomplete, "1 slice is missing", {"geometry": GAP}),
    Case(
        "released, gap though counted", 1300.0, Incomplete, "1 slice", {"geometry": GAP, "expected_count": 6}
    ),
    Case("released, no positions", 1006.0, Complete, "could not be seen", {"geometry": ()}),
    Case("still open, nothing missing", 1060.0, Complete, "Still open", {"open_associations": 1}),
    Case("still open, count met", 1060.0, Complete, "All 6", {"open_associations": 2, "expected_count": 6}),
    Case(
        "still open, count not met",
        1300.0,
        Incomplete,
        "missing",
        {"open_associations": 1, "expected_count": 9},
    ),
    Case(
        "still open, first association",
        1060.0,
        Complete,
        "open",
        {"open_associations": 1, "last_release_at": None},
    ),
    Case("no association known", 1060.0, Complete, "No association", {"last_release_at": None}),
    Case("broken, nothing missing", 1061.0, Complete, "without release", {"broken_associations": 1}),
    Case("broken, count met", 1061.0, Complete, "All 6", {"broken_associations": 1, "expected_count": 6}),
    Case("broken, gap", 1300.0, Incomplete, "1 slice", {"broken_associations": 1, "geometry": GAP}),
    Case(
        "broken late, gap",
        1310.0,
        Incomplete,
        "1 slice",
        {"broken_associations": 1, "geometry": GAP, "last_release_at": 1250.0},
    ),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_table(case: Case) -> None:
    """Each line waits exactly until its moment, and says then what it should, with its reason."""
    evidence = facts(**case.true)
    at = case.waits_until
    if at is not None:
        before = judge(evidence, at - 0.001, RULE)
        assert isinstance(before, WaitUntil)
        assert before.moment == at
        assert before.reasons
    verdict = judge(evidence, at if at is not None else 1001.0, RULE)
    assert isinstance(verdict, case.says)
    assert case.word in " ".join(verdict.reasons)


def test_a_wait_names_what_is_missing() -> None:
    """The operator sees what is waited for while it is waited for."""
    verdict = judge(facts(expected_count=10, geometry=GAP), 1002.0, RULE)
    assert isinstance(verdict, WaitUntil)
    assert verdict.reasons[0] == "The headers count 10 instances; 6 came, 4 are missing."
    assert verdict.reasons[1] == (
        "1 slice is missing between 15.00 mm and 25.00 mm along the normal; the usual step is 5.00 mm."
    )


def test_the_late_slice_completes_the_series() -> None:
    """The missing slice fills the gap: the same series is then complete after the short wait."""
    whole = slices(0, 5, 10, 15, 25, 30, 20)
    late = facts(geometry=whole, instance_count=7, last_arrival_at=1400.0, last_release_at=1401.0)
    assert judge(late, 1405.0, RULE) == judge(replace(late), 1405.0, RULE)
    assert isinstance(judge(late, 1405.0, RULE), WaitUntil)
    assert isinstance(judge(late, 1406.0, RULE), Complete)


coordinates = st.one_of(
    st.integers(-8, 8).map(lambda n: n * 2.5),
    st.floats(-500, 500),
    st.sampled_from([float("nan"), float("inf"), 1e300, -0.0]),
)
orientations = st.sampled_from(
    [
        AXIAL,
        (1.0, 0.0, 0.0, 0.0, 0.9999, 0.0141),
        (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        (float("nan"),) * 6,
        None,
    ]
)
planes = st.builds(
    InstanceGeometry,
    sop_instance_uid=st.just("2.25.3"),
    position_lps=st.one_of(st.none(), st.tuples(st.sampled_from([0.0, 100.0]), st.just(0.0), coordinates)),
    orientation_lps=orientations,
)
moments = st.floats(0, 1e6)
evidences = st.builds(
    facts,
    instance_count=st.integers(1, 30),
    expected_count=st.one_of(st.none(), st.integers(-1, 30)),
    open_associations=st.integers(0, 2),
    broken_associations=st.integers(0, 2),
    last_arrival_at=moments,
    last_release_at=st.one_of(st.none(), moments),
    geometry=st.lists(planes, max_size=12).map(tuple),
)
rules = st.builds(
    CompletionRule,
    release_wait_s=st.floats(0, 100),
    quiet_s=st.floats(0, 1000),
    incomplete_after_s=st.floats(0, 10000),
)


@given(evidences, moments, rules, st.randoms(use_true_random=False))
def test_the_order_of_arrival_never_matters(evidence, now, rule, random) -> None:
    """Any order of the same geometry gives the same verdict, word for word."""
    geometry = list(evidence.geometry)
    random.shuffle(geometry)
    assert judge(replace(evidence, geometry=tuple(geometry)), now, rule) == judge(evidence, now, rule)


@given(evidences, moments, rules)
def test_waiting_always_progresses_and_ends(evidence, now, rule) -> None:
    """A wait is for a later moment, and at that moment the series closes if nothing has changed."""
    verdict = judge(evidence, now, rule)
    if isinstance(verdict, WaitUntil):
        assert verdict.moment > now
        assert not isinstance(judge(evidence, verdict.moment, rule), WaitUntil)


@given(evidences, moments, st.floats(0, 1e5), rules)
def test_time_alone_never_changes_a_verdict(evidence, now, later, rule) -> None:
    """What is complete or incomplete stays so for the same facts."""
    verdict = judge(evidence, now, rule)
    if not isinstance(verdict, WaitUntil):
        assert type(judge(evidence, now + later, rule)) is type(verdict)


@given(evidences, moments, rules)
def test_nothing_missing_is_hidden(evidence, now, rule) -> None:
    """A series with fewer instances than its headers count is never complete."""
    verdict = judge(evidence, now, rule)
    if evidence.expected_count is not None and evidence.expected_count > evidence.instance_count:
        assert not isinstance(verdict, Complete)
