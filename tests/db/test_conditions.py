# ruff: noqa: RUF001
"""The matching rules: what the standard says, and that Python and SQLite say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select

from db.conditions import MAX_TEXT, MAX_UIDS, MAX_VALUES, AnyOf, Universal, matches, parse_condition
from db.errors import QueryError
from db.folding import fold
from db.patterns import read_pattern, successor
from db.person_name import trim_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

metadata = MetaData()
kept = Table("kept", metadata, Column("text", String), Column("folded", String), Column("number", Integer))

# keyword, VR, key, what matches, what does not
CASES = [
    ("PatientID", "LO", "", ["", "A"], []),
    ("PatientID", "LO", "*", ["", "A"], []),
    ("PatientID", "LO", "**", ["", "A"], []),
    ("PatientID", "LO", " A1 ", ["A1"], ["a1", "A", "A12", ""]),
    ("PatientID", "LO", "A*", ["A", "A1", "A*"], ["BA", "", "a"]),
    ("PatientID", "LO", "*1", ["1", "A1"], ["A12", ""]),
    ("PatientID", "LO", "A?C", ["ABC", "A?C", "AÄC"], ["AC", "ABBC"]),
    ("PatientID", "LO", "?*", ["A", "AB"], [""]),
    ("PatientID", "LO", "100%", ["100%"], ["100", "1000", "100X"]),
    ("PatientID", "LO", "100%*", ["100%", "100%A"], ["1000", "100"]),
    ("PatientID", "LO", "A_*", ["A_1"], ["AB1"]),
    ("PatientID", "LO", "[AB]*", ["[AB]1"], ["A1", "B1"]),
    ("PatientID", "LO", "*[*]*", ["x[1]y", "[]"], ["x", "]["]),
    ("PatientID", "LO", "A\\B", ["A", "B"], ["A\\B", "C"]),
    ("PatientID", "LO", "A\\*", ["A", "B", ""], []),
    ("PatientID", "LO", "A\\", ["A"], [""]),
    ("PatientID", "LO", "a'; DROP TABLE kept--", ["a'; DROP TABLE kept--"], ["a"]),
    ("PatientName", "PN", "DOE^JANE", ["Doe^Jane", "DOE^JANE^^^", "doe^jane=山"], ["DOE", "DOE^JANE^X", ""]),
    ("PatientName", "PN", "doe^jane^^", ["Doe^Jane"], ["DOE^JANET"]),
    ("PatientName", "PN", "DOE*", ["Doe", "DOE^JANE", "Doering"], ["DO", "XDOE", ""]),
    ("PatientName", "PN", "^^", ["", "DOE"], []),
    ("PatientName", "PN", "MULLER", ["Müller", "MÜLLER^^^", "muller"], ["Mueller"]),
    ("PatientName", "PN", "Müller^J*", ["MULLER^JO", "müller^jörg"], ["MULLER"]),
    ("PatientName", "PN", "STRASSE", ["Straße"], ["Strase"]),
    ("PatientName", "PN", "100%^*", ["100%^A"], ["1000^A"]),
    ("PatientName", "PN", "山田^太郎", ["Yamada^Tarou=山田^太郎", "Yamada=山田^太郎=やまだ", "山田^太郎"], ["山田"]),
    ("PatientName", "PN", "山田*", ["Yamada^Tarou=山田^太郎", "Y=A=山田"], ["Y=A山田"]),
    ("PatientName", "PN", "TAROU", [], ["Yamada=TAROU", "Y=TAROU"]),
    ("PatientName", "PN", "Yamada=山田", ["YAMADA=山田"], ["Yamada=山田=やまだ", "Yamada"]),
    ("Modality", "CS", "CT", ["CT", "MR\\CT", "CT\\MR"], ["CTA", "", "XCT\\MR"]),
    ("Modality", "CS", "CT\\MR", ["CT", "MR"], ["PT", ""]),
    ("Modality", "CS", "C*", ["CT", "MR\\CR"], ["MR"]),
    ("StudyInstanceUID", "UI", "1.2", ["1.2"], ["1.2.3", "1", ""]),
    ("StudyInstanceUID", "UI", "1.2\\1.3\0", ["1.2", "1.3"], ["1.2\\1.3", "1.4"]),
    ("StudyDate", "DA", "20240229", ["20240229"], ["20240228", ""]),
    ("StudyDate", "DA", "20240101-20241231", ["20240101", "20240615", "20241231"], ["20231231", "20250101", ""]),
    ("StudyDate", "DA", "20240101-", ["20240101", "99991231"], ["20231231", ""]),
    ("StudyDate", "DA", "-20240101", ["20240101", "19000101"], ["20240102", ""]),
    ("StudyDate", "DA", "2024.01.01 - 2024.01.31", ["20240115"], ["20240201"]),
    ("StudyDate", "DA", "20240231-", ["20240301"], ["20240228"]),
    ("StudyDate", "DA", "202401*", ["20240115"], ["20240201", ""]),
    ("StudyTime", "TM", "10-12", ["10", "1000", "100000.000", "115959", "12", "1230", "125959.999999"], ["0959", "13", ""]),
    ("StudyTime", "TM", "1030", ["1030", "103000", "103059.9"], ["1029", "1031", ""]),
    ("StudyTime", "TM", "10", ["10", "1030", "105959"], ["0959", "11", ""]),
    ("StudyTime", "TM", "103000.5", ["103000.5", "103000.500", "103000.59"], ["103000", "103000.6", "103000.4"]),
    ("StudyTime", "TM", "000000", ["00", "0000", "000000", "000000.9"], ["000001", "01", ""]),
    ("StudyTime", "TM", "-0010", ["00", "0010", "001059"], ["0011", ""]),
    ("StudyTime", "TM", "22:30:00-", ["2230", "235959"], ["2229", ""]),
    ("StudyTime", "TM", "000000-235959", ["00", "120000", "235959.999"], [""]),
    ("SeriesNumber", "IS", "7", ["7"], ["17", "", "-7"]),
    ("SeriesNumber", "IS", " +007 ", ["7"], ["70"]),
    ("SeriesNumber", "IS", "1\\2", ["1", "2"], ["12"]),
    ("Rows", "US", "512", ["512"], ["51"]),
    ("SeriesNumber", "IS", "999999999999", [], ["1"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def in_sql(connection: Connection, vr: str, key: str, values: list[str]) -> list[str]:
    """Those of the values that SQLite finds; kept as the index keeps them."""
    connection.execute(kept.delete())
    for value in values:
        number = int(value) if vr in ("IS", "US") and value else None
        connection.execute(insert(kept).values(text=value, folded=fold(trim_name(value)), number=number))
    column = {"PN": kept.c.folded, "IS": kept.c.number, "US": kept.c.number}.get(vr, kept.c.text)
    clause = parse_condition("PatientID", vr, key).clause(column)
    return list(connection.execute(select(kept.c.text).where(clause)).scalars())


@pytest.mark.parametrize(
    ("keyword", "vr", "key", "found", "missed"), CASES, ids=[f"{c[1]}:{c[2]}" for c in CASES]
)
def test_the_rules(
    connection: Connection, keyword: str, vr: str, key: str, found: list[str], missed: list[str]
) -> None:
    # Each line is one rule of PS3.4 C.2.2.2 or one trap of SQL, decided in Python and on real SQLite.
    condition = parse_condition(keyword, vr, key)
    assert [value for value in found + missed if condition.matches(value)] == found
    assert in_sql(connection, vr, key, found + missed) == found


@pytest.mark.parametrize(
    ("keyword", "vr", "key", "tag"),
    [
        ("StudyDate", "DA", "-", "(0008,0020)"),
        ("StudyDate", "DA", "2024", "(0008,0020)"),
        ("StudyDate", "DA", "20241301", "(0008,0020)"),
        ("StudyDate", "DA", "20240100-20240131", "(0008,0020)"),
        ("StudyDate", "DA", "20240101-20240102-20240103", "(0008,0020)"),
        ("StudyDate", "DA", "today", "(0008,0020)"),
        ("StudyTime", "TM", "25", "(0008,0030)"),
        ("StudyTime", "TM", "1060", "(0008,0030)"),
        ("StudyTime", "TM", "1", "(0008,0030)"),
        ("StudyTime", "TM", "--", "(0008,0030)"),
        ("SeriesNumber", "IS", "one", "(0020,0011)"),
        ("SeriesNumber", "IS", "1*", "(0020,0011)"),
        ("SeriesNumber", "IS", "9" * 30, "(0020,0011)"),
        ("StudyInstanceUID", "UI", "1.2.*", "(0020,000D)"),
        ("StudyInstanceUID", "UI", "\\".join(f"1.{n}" for n in range(MAX_UIDS + 1)), "(0020,000D)"),
        ("PatientID", "LO", "A\\" * MAX_VALUES + "A", "(0010,0020)"),
        ("PatientID", "LO", "A" * (MAX_TEXT + 1), "(0010,0020)"),
    ],
    ids=lambda value: value[:20],
)
def test_what_cannot_be_read_is_refused(keyword: str, vr: str, key: str, tag: str) -> None:
    # The error names the element, which the peer gets back as Offending Element, and not what was in it.
    with pytest.raises(QueryError) as refused:
        parse_condition(keyword, vr, key)
    assert refused.value.tag == tag
    assert key not in str(refused.value)


def test_the_longest_list_of_uids_fits_sqlite(connection: Connection) -> None:
    # Three lists of the greatest length are within one statement's number of values.
    uids = "\\".join(f"1.{n}" for n in range(MAX_UIDS))
    condition = parse_condition("SOPInstanceUID", "UI", uids)
    clause = condition.clause(kept.c.text) & condition.clause(kept.c.folded) & condition.clause(kept.c.text)
    assert connection.execute(select(kept).where(clause)).all() == []


@pytest.mark.parametrize("vr", ["PN", "LO", "CS"])
def test_the_longest_list_of_forms_fits_sqlite(connection: Connection, vr: str) -> None:
    # Each name has up to four alternatives; SQLite's limit on nesting is not reached.
    key = "\\".join(f"山{number}*" for number in range(MAX_VALUES))
    assert in_sql(connection, vr, key, ["A=山99", "山99"]) == (["A=山99", "山99"] if vr == "PN" else ["山99"])


# Text that stresses: wildcards of DICOM and of SQL, delimiters, case, marks, width, and characters beyond 16 bits.
TEXT = st.text(
    st.sampled_from("aAbB01*?%_[]^-'= .äÄéßıİσςΣ山ヤﾔＡ＊？＝＾\u0301\ud7ff\ue000\U0010ffff😀"),
    max_size=8,
)
VALUES = {
    "LO": TEXT,
    "PN": TEXT,
    "CS": st.lists(TEXT, min_size=1, max_size=3).map("\\".join),
    "UI": st.from_regex(r"1(\.[0-9]){0,2}", fullmatch=True),
    "DA": st.one_of(st.dates().map(lambda day: day.strftime("%Y%m%d").zfill(8)), st.just("")),
    "TM": st.one_of(st.from_regex(r"([01][0-9]([0-5][0-9]([0-5][0-9](\.[0-9]{1,6})?)?)?)?", fullmatch=True)),
    "IS": st.integers(-5, 20).map(str),
}
KEYS = {
    **VALUES,
    "CS": TEXT,
    "DA": st.one_of(VALUES["DA"], st.tuples(VALUES["DA"], VALUES["DA"]).map("-".join)),
    "TM": st.one_of(VALUES["TM"], st.tuples(VALUES["TM"], VALUES["TM"]).map("-".join)),
}


@pytest.mark.parametrize("vr", VALUES)
@settings(max_examples=150)
@given(data=st.data())
def test_python_and_sqlite_agree(connection: Connection, vr: str, data: st.DataObject) -> None:
    # Routes are decided in Python and queries in SQL: one language must have one meaning.
    values = data.draw(st.lists(VALUES[vr], min_size=1, max_size=6))
    key = data.draw(st.one_of(KEYS[vr], st.sampled_from(values)))
    try:
        condition = parse_condition("PatientID", vr, key)
    except QueryError:
        return
    assert in_sql(connection, vr, key, values) == [value for value in values if condition.matches(value)]


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=10))
@example("a*", "a\n")
def test_wildcards_mean_what_they_say(pattern: str, value: str) -> None:
    # The plain, slow definition is the oracle: a star is nothing, or one character and a star.
    def holds(rest: str, text: str) -> bool:
        if not rest:
            return not text
        if rest[0] == "*":
            return holds(rest[1:], text) or (text != "" and holds(rest, text[1:]))
        return text != "" and rest[0] in ("?", text[0]) and holds(rest[1:], text[1:])

    condition = parse_condition("PatientID", "LO", pattern)
    truth = holds(pattern, value) and (value != "" or not pattern.strip("*"))
    assert condition.matches(value) == (truth or not pattern)


def test_many_stars_are_no_weapon(connection: Connection) -> None:
    # A query of stars against a text that nearly fits must not take a thread for hours, in Python or in SQLite.
    key = "*" + "a*" * 400 + "b"
    value = "a" * 1000
    assert not parse_condition("PatientID", "LO", key).matches(value)
    assert in_sql(connection, "LO", key, [value]) == []


@pytest.mark.parametrize(
    ("prefix", "after"),
    [("a", "b"), ("ab", "ac"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", None), ("", None)],
)
def test_the_text_after_a_prefix(prefix: str, after: str | None) -> None:
    # The end of a range is a text that exists, is beyond all that begin with the prefix, and next to them.
    assert successor(prefix) == after


def test_folding_a_pattern_makes_no_wildcards() -> None:
    # A full-width asterisk in a name is a character, although folding makes it a plain one.
    assert read_pattern("Ａ＊*", folded=True)[0] == "a*"
    assert not parse_condition("PatientName", "PN", "＊").matches("ANYBODY")


def test_all_conditions_count() -> None:
    # Routes: every attribute named must fit, and one that the series lacks is empty.
    conditions = {
        "Modality": parse_condition("Modality", "CS", "CT\\MR"),
        "PatientName": parse_condition("PatientName", "PN", "doe*"),
    }
    assert matches(conditions, {"Modality": "MR", "PatientName": "DOE^JANE"})
    assert not matches(conditions, {"Modality": "PT", "PatientName": "DOE^JANE"})
    assert not matches(conditions, {"Modality": "MR"})
    assert matches({}, {})


def test_conditions_are_values() -> None:
    # Two that mean the same are equal, so that they can be compared, cached and tested.
    assert parse_condition("PatientID", "LO", "A*") == parse_condition("PatientID", "LO", " A** ")
    assert parse_condition("PatientID", "LO", "*") == Universal()
    assert isinstance(parse_condition("Modality", "CS", "CT\\MR"), AnyOf)
    assert hash(parse_condition("StudyDate", "DA", "2024.01.01")) == hash(
        parse_condition("StudyDate", "DA", "20240101")
    )
