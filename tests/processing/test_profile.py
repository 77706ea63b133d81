"""The profile: Table E.1-1 resolved by options and by the IOD's types."""

from __future__ import annotations

import pytest

from processing.errors import DeidentificationError
from processing.iod_types import AttributeType
from processing.profile import DEFAULT_PROFILE, IMPLEMENTED, Action, Option, Profile, resolve

BASIC = Profile(options=frozenset())
ONE, TWO, THREE = AttributeType


@pytest.mark.parametrize(
    ("code", "required", "may_be_empty", "optional"),
    [
        ("X", Action.REMOVE, Action.REMOVE, Action.REMOVE),
        ("Z", Action.REPLACE, Action.EMPTY, Action.EMPTY),
        ("D", Action.REPLACE, Action.REPLACE, Action.REPLACE),
        ("U", Action.REPLACE_UID, Action.REPLACE_UID, Action.REPLACE_UID),
        ("X/Z", Action.EMPTY, Action.EMPTY, Action.REMOVE),
        ("X/D", Action.REPLACE, Action.REPLACE, Action.REMOVE),
        ("Z/D", Action.REPLACE, Action.EMPTY, Action.EMPTY),
        ("X/Z/D", Action.REPLACE, Action.EMPTY, Action.REMOVE),
        ("X/Z/U*", Action.REPLACE_UID, Action.REPLACE_UID, Action.REMOVE),
    ],
)
def test_types_decide_combined_codes(
    code: str, required: Action, may_be_empty: Action, optional: Action
) -> None:
    # PS3.15 Table E.1-1a, every code that the table holds, for types 1, 2 and 3.
    assert [resolve(code, which) for which in (ONE, TWO, THREE)] == [required, may_be_empty, optional]


def test_the_default_keeps_dates_moved_and_claims_it() -> None:
    # Keyed dates need option 113107, and what is done must be claimed, no more and no less.
    assert [code for code, _ in DEFAULT_PROFILE.codes] == ["113100", "113107"]
    assert DEFAULT_PROFILE.temporal_information == "MODIFIED"
    assert DEFAULT_PROFILE.action(0x00080020, TWO) is Action.CLEAN


@pytest.mark.parametrize(
    ("tag", "options", "action"),
    [
        (0x00080020, frozenset(), Action.EMPTY),  # Study Date, Z
        (0x00080020, {Option.RETAIN_FULL_DATES}, Action.KEEP),
        (
            0x00080020,
            {Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES},
            Action.CLEAN,
        ),  # the stricter one
        (0x00080080, {Option.RETAIN_INSTITUTION_IDENTITY}, Action.KEEP),  # Institution Name
        (0x00181000, {Option.RETAIN_DEVICE_IDENTITY}, Action.KEEP),  # Device Serial Number
        (0x00101010, {Option.RETAIN_PATIENT_CHARACTERISTICS}, Action.KEEP),  # Patient's Age
        (
            0x00102110,
            {Option.RETAIN_PATIENT_CHARACTERISTICS},
            Action.REMOVE,
        ),  # Allergies: C for text, so basic
        (0x00100010, IMPLEMENTED, Action.EMPTY),  # Patient's Name: no option keeps it
    ],
)
def test_options_change_what_their_column_says(tag: int, options: frozenset[Option], action: Action) -> None:
    # Each option acts on its own rows; two that disagree give the stricter action; text is never taken for cleaned.
    assert Profile(options=frozenset(options)).action(tag, TWO) is action


def test_the_table_is_silent_where_it_has_no_row() -> None:
    # Rows and Columns are for the rules by VR.
    assert DEFAULT_PROFILE.action(0x00280010, ONE) is None


def test_what_is_not_done_cannot_be_asked_for() -> None:
    # A claim without a deed would be worse than none.
    for option in frozenset(Option) - IMPLEMENTED:
        with pytest.raises(DeidentificationError, match="not implemented"):
            Profile(options=frozenset({option}))


def test_options_are_named_as_in_cid_7050() -> None:
    # The names are those that pydicom's dictionary of the standard gives the codes.
    from pydicom.sr._concepts_dict import concepts

    meanings = {code: entry[0] for by_code in concepts["DCM"].values() for code, entry in by_code.items()}  # type: ignore[attr-defined]
    assert {option.value: option.meaning for option in Option} == {
        option.value: meanings[option] for option in Option
    }
    names = ["Retain Device Identity Option", "113107"]
    assert Profile.from_names(names).options == {Option.RETAIN_DEVICE_IDENTITY, Option.RETAIN_MODIFIED_DATES}
    with pytest.raises(DeidentificationError, match="CID 7050"):
        Profile.from_names(["Retain Everything Option"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (frozenset(), "REMOVED"),
        ({Option.RETAIN_FULL_DATES}, "UNMODIFIED"),
        ({Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES}, "MODIFIED"),
    ],
)
def test_the_result_says_what_became_of_its_dates(options: frozenset[Option], said: str) -> None:
    # (0028,0303) must be true of the result.
    assert Profile(options=frozenset(options)).temporal_information == said


@pytest.mark.parametrize(
    ("options", "action"),
    [
        (frozenset(), Action.REMOVE),
        ({Option.RETAIN_FULL_DATES}, Action.KEEP),
        ({Option.RETAIN_MODIFIED_DATES}, Action.CLEAN),
    ],
)
def test_dates_outside_the_table_follow_the_same_options(options: frozenset[Option], action: Action) -> None:
    # The table misses fifteen dates and times of PS3.6.
    assert Profile(options=frozenset(options)).temporal_action(THREE) is action
