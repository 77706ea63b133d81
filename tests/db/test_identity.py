"""Identity: what is a UID, and when two headers speak of one patient."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import IdentityError
from db.identity import check_uid, patient_identity_key
from db.records import PatientRecord, StudyRecord


@given(st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,6}){0,8}", fullmatch=True))
def test_uids_pass_unchanged(uid: str) -> None:
    """Digits with single dots between them are a UID, and it is kept as it is."""
    assert check_uid(uid) == uid


def test_leading_zeros_pass() -> None:
    """Real devices send components with leading zeros; their images are not refused."""
    assert check_uid("1.2.003.04") == "1.2.003.04"


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        ".1",
        "1.",
        "1..2",
        "1.2 ",
        "1.2\0",
        "1.2\n",
        "1.a",
        "1.-2",
        "../../etc/passwd",
        "1.2/3",
        "\u0661.2",  # a digit, but not an ASCII one
        "1.\u0662",
        "1." + "2" * 63,
    ],
)
def test_everything_else_is_refused(value: str) -> None:
    """Nothing but a UID of at most 64 characters gets through, and the message does not repeat it."""
    with pytest.raises(IdentityError, match="SOP Instance UID") as caught:
        check_uid(value, "SOP Instance UID")
    assert not value.strip() or len(value) < 3 or value not in str(caught.value)


def test_the_longest_uid_passes() -> None:
    """64 characters are allowed, 65 are not."""
    assert len(check_uid("1." + "2" * 62)) == 64


@given(st.text(), st.integers(0, 80))
def test_what_passes_can_do_no_harm(text: str, digits: int) -> None:
    """Whatever comes, what passes is short and made of digits and dots."""
    value = "1" * digits + text
    try:
        passed = check_uid(value)
    except IdentityError:
        return
    assert re.fullmatch(r"[0-9.]{1,64}", passed)


def key(study_instance_uid: str = "1.1", **patient: str) -> str:
    return patient_identity_key(PatientRecord(**patient), StudyRecord(study_instance_uid=study_instance_uid))


def test_the_id_and_its_issuer_are_the_patient() -> None:
    """With an ID, a corrected name or another study is still the same patient; another issuer is another one."""
    assert key(patient_id="1", patient_name="Old") == key("1.2", patient_id="1", patient_name="New")
    assert key(patient_id="1") != key(patient_id="1", issuer_of_patient_id="ELSEWHERE")
    assert key(patient_id="1") != key(patient_id="2")


def test_without_an_id_name_and_birth_date_count() -> None:
    """Two people without an ID do not become one."""
    assert key(patient_name="A") != key(patient_name="B")
    assert key(patient_name="A", patient_birth_date="19030405") != key(patient_name="A")
    assert key(patient_name="A") == key("1.2", patient_name="A")


def test_the_nameless_are_told_apart_by_their_studies() -> None:
    """Without anything, a study is its own patient."""
    assert key("1.1") != key("1.2")
    assert key("1.1") == key("1.1")


@given(
    st.lists(st.text(max_size=3), min_size=4, max_size=4),
    st.lists(st.text(max_size=3), min_size=4, max_size=4),
)
def test_no_two_patients_share_a_key(one: list[str], other: list[str]) -> None:
    """A text with quotes or commas in it cannot imitate another patient."""
    fields = ("patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date")
    counted = 2 if one[0] and other[0] else 4
    same = key(**dict(zip(fields, one, strict=True))) == key(**dict(zip(fields, other, strict=True)))
    assert same == (one[:counted] == other[:counted])
