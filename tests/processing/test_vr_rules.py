"""Values by their VR: dates that move, and what is no value of its VR at all."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.vr_rules import (
    age_years,
    cap_age,
    clean_time,
    clean_zone,
    is_number,
    is_uid,
    shift_date,
    shift_datetime,
)

DAYS = st.dates(min_value=dt.date(1850, 1, 1), max_value=dt.date(2100, 12, 31))
SHIFTS = st.integers(min_value=-3652, max_value=-1)


@given(DAYS, DAYS, SHIFTS)
def test_the_interval_between_two_dates_stays(first: dt.date, second: dt.date, days: int) -> None:
    # What follow-up research needs of dates is how far apart they are.
    moved = [shift_date(f"{day:%Y%m%d}", days) for day in (first, second)]
    there = [dt.datetime.strptime(text or "", "%Y%m%d").replace(tzinfo=dt.UTC).date() for text in moved]
    assert there[1] - there[0] == second - first


@given(DAYS, SHIFTS)
def test_date_and_datetime_move_alike(day: dt.date, days: int) -> None:
    # One shift for DA and DT: otherwise the one would betray the other.
    date = f"{day:%Y%m%d}"
    assert shift_datetime(date + "101500.250000+0100", days) == f"{shift_date(date, days)}101500.250000+0100"


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("20240229", "20240228"),
        ("2024.03.01", "20240229"),  # ACR-NEMA
        ("20230229", None),  # no such day
        ("20241301", None),
        ("00010101", None),  # leaves the calendar
        ("Zwartkijker", None),
        ("20240229-20240301", None),  # a range is for queries
        ("20240229 Zwartkijker", None),
    ],
)
def test_what_is_no_date_is_not_moved(value: str, moved: str | None) -> None:
    # None means that the attribute goes, whatever it held.
    assert shift_date(value, -1) == moved


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("2024", "2023"),
        ("202407", "202307"),
        ("2024-0500", "2023-0500"),
        ("20240229235959", "20230301235959"),
        ("2024022923", "2023030123"),
        ("20240229256100", None),
        ("20240229Zwartkijker", None),
        ("20240229101500+9900", None),
        ("2024Zwartkijker", None),
    ],
)
def test_partial_datetimes_stay_partial(value: str, moved: str | None) -> None:
    # A year alone must not become a day, and text behind a date must not slip through with it.
    assert shift_datetime(value, -365) == moved


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("101500.250000", "101500.250000"),
        ("10", "10"),
        ("09:53:00", "095300"),  # ACR-NEMA
        ("250000", None),
        ("101500 Zwartkijker", None),
        ("4711", None),
    ],
)
def test_times_stay_if_they_are_times(value: str, cleaned: str | None) -> None:
    # A shift in whole days leaves the time of day; 4711 is no minute past anything.
    assert clean_time(value) == cleaned


def test_offsets_from_utc_stay_if_they_are_offsets() -> None:
    # (0008,0201) is SH on the wire and could hold any text.
    assert clean_zone("+0530") == "+0530"
    assert clean_zone("OTTOLINE") is None


@pytest.mark.parametrize(
    ("value", "capped"),
    [("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("011M", "011M"), ("old", None), ("93Y", None)],
)
def test_ages_above_89_become_90(value: str, capped: str | None) -> None:
    # Above 89 an age is an identifier by itself.
    assert cap_age(value) == capped


@pytest.mark.parametrize(
    ("vr", "value", "number"),
    [
        ("DS", "-0.123456789012345678", True),  # longer than 16 characters, as devices send it
        ("DS", "1.5E-3", True),
        ("DS", ".5", True),
        ("DS", "nan", False),
        ("DS", "12 Zwartkijker", False),
        ("IS", "+17", True),
        ("IS", "17.0", False),
        ("IS", "4711471147114711", False),
    ],
)
def test_numbers_are_numbers(vr: str, value: str, number: bool) -> None:
    # A number as text could be any text.
    assert is_number(vr, value) is number


def test_uids_are_figures_and_dots() -> None:
    # What is no UID must not pass as one; leading zeros are let pass, since devices send them.
    assert is_uid("1.2.840.10008.1.2")
    assert is_uid("1.2.03")
    assert not is_uid("1.2.Zwart")
    assert not is_uid("1" * 65)
    assert not is_uid("1..2")


def test_age_at_the_study_counts_birthdays() -> None:
    # The day before the ninetieth birthday is still 89.
    assert age_years("19370429", "20270428") == 89
    assert age_years("19370429", "20270429") == 90
    assert age_years("", "20270429") is None
