"""What a value of each VR becomes: dates moved, numbers checked, replacements that say nothing.

Everything here is text in, text out, on one value; a value that is not what its VR promises is None.
"""

from __future__ import annotations

import datetime as dt
import re

TEXT_VRS = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
DATE_VRS = frozenset({"DA", "DT", "TM"})
STRING_VRS = TEXT_VRS | DATE_VRS | frozenset({"AE", "AS", "CS", "DS", "IS", "PN", "UI", "UR"})
CHARACTER_SET_VRS = TEXT_VRS | frozenset({"PN"})
BACKSLASH_IS_TEXT = frozenset({"LT", "ST", "UT", "UR"})  # one value, whatever is in it (PS3.5 section 6.2)
NUMBER_BYTES = {
    "AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8,
}  # fmt: skip
BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})

REPLACEMENTS = {
    "AE": "DEIDENTIFIED",
    "AS": "000Y",
    "CS": "UNKNOWN",
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "IS": "0",
    "LO": "DEIDENTIFIED",
    "LT": "DEIDENTIFIED",
    "PN": "DEIDENTIFIED",
    "SH": "DEIDENTIFIED",
    "ST": "DEIDENTIFIED",
    "TM": "000000",
    "UC": "DEIDENTIFIED",
    "UR": "urn:deidentified",
    "UT": "DEIDENTIFIED",
}
"""What stands for a value that must be there and must not tell anything."""

OLDEST_AGE_YEARS = 89  # above it an age is an identifier by itself; such ages all become 90 years

_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)|(\d{4})\.(\d\d)\.(\d\d)")
_TIME = re.compile(r"([01]\d|2[0-3])(?:([0-5]\d)(?:([0-5]\d|60)(?:\.\d{1,6})?)?)?")
_OLD_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(?::([0-5]\d|60)(?:\.\d{1,6})?)?")
_DATETIME = re.compile(r"(\d{4})(\d\d)?(\d\d)?(.*)")
_ZONE = re.compile(r"[+-](?:0\d|1[0-4])[0-5]\d")
_INTEGER = re.compile(r"[+-]?\d{1,12}")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_AGE = re.compile(r"(\d{3})([DWMY])")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def shift_date(value: str, days: int) -> str | None:
    """Return a DA moved by whole days; None for what is no date, or would leave the calendar."""
    match = _DATE.fullmatch(value)
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups() if part is not None)
    return _moved(year, month, day, days)


def shift_datetime(value: str, days: int) -> str | None:
    """Return a DT moved by whole days, the time of day and the offset from UTC as they were.

    A DT without a day, or without a month, is moved as if it were in the middle of what it leaves open, and stays as
    short as it was.
    """
    match = _DATETIME.fullmatch(value)
    if match is None:
        return None
    year, month, day, rest = match.groups()
    if day is None:
        if not _is_zone(rest):
            return None
        moved = _moved(int(year), int(month or 7), 15 if month else 1, days)
        return None if moved is None else moved[: 6 if month else 4] + rest
    moved = _moved(int(year), int(month), int(day), days)
    time = re.split(r"(?=[+-])", rest, maxsplit=1)
    fits = (not time[0] or _TIME.fullmatch(time[0])) and _is_zone("".join(time[1:]))
    return moved + rest if moved is not None and fits else None


def _is_zone(text: str) -> bool:
    return not text or _ZONE.fullmatch(text) is not None


def _moved(year: int, month: int, day: int, days: int) -> str | None:
    try:
        moved = dt.date(year, month, day) + dt.timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"


def clean_time(value: str) -> str | None:
    """Return a TM without the colons of ACR-NEMA: a shift in whole days leaves the time of day; None for what is none."""
    return value.replace(":", "") if _TIME.fullmatch(value) or _OLD_TIME.fullmatch(value) else None


def clean_zone(value: str) -> str | None:
    """Return an offset from UTC as it is; None for what is none."""
    return value if _ZONE.fullmatch(value) else None


def shift_value(vr: str, value: str, days: int) -> str | None:
    """Return one value of a DA, DT or TM moved by whole days; None where it is not what its VR promises."""
    if vr == "TM":
        return clean_time(value)
    return shift_date(value, days) if vr == "DA" else shift_datetime(value, days)


def is_number(vr: str, value: str) -> bool:
    """Whether one value of an IS or DS is a number."""
    return (_INTEGER if vr == "IS" else _DECIMAL).fullmatch(value) is not None


def is_uid(value: str) -> bool:
    """Whether the text has a UID's form (PS3.5 section 9.1); leading zeros, which devices do send, are let pass."""
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def cap_age(value: str) -> str | None:
    """Return an AS with every age over 89 years as 90 years; None for what is no age."""
    match = _AGE.fullmatch(value)
    if match is None:
        return None
    too_old = match[2] == "Y" and int(match[1]) > OLDEST_AGE_YEARS
    return f"{OLDEST_AGE_YEARS + 1:03d}Y" if too_old else value


def age_years(birth_date: str, on_date: str) -> int | None:
    """Return the age in whole years between two DA values; None where either is no date."""
    birth, then = shift_date(birth_date, 0), shift_date(on_date, 0)
    if birth is None or then is None:
        return None
    return int(then[:4]) - int(birth[:4]) - (then[4:] < birth[4:])
