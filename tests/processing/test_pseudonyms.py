"""Keyed pseudonyms: stable, unlinkable without the key, and never the same for two strangers."""

from __future__ import annotations

import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.errors import DeidentificationError
from processing.pseudonyms import LONGEST_SHIFT_DAYS, Pseudonyms, derive_key

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))


def test_a_key_gives_the_same_pseudonyms_for_ever() -> None:
    # Golden values: a change would give every patient of every archive a new identity.
    pseudonyms = Pseudonyms(KEY)
    assert pseudonyms.uid("1.2.3") == "2.25.197486433149230867168656256233276243697"
    assert pseudonyms.patient_id("A", "1") == "DR-ACFLBDVKPDBXYGZA"
    assert pseudonyms.patient_name("A", "1") == "DR^O6DZJPR43T2LCTGN"
    assert pseudonyms.shift_days("A", "1") == -969
    assert pseudonyms.label("x", "y") == "AW4GDFNHKTRKWXT7"
    assert pseudonyms.fingerprint == "f3ad33512ad89780"


def test_keys_are_derived_as_rfc_5869_says() -> None:
    # The RFC's two steps written out: extract with the salt, then one block of expand.
    extracted = hmac.new(b"darkroom pseudonyms 1", KEY, hashlib.sha256).digest()
    expanded = hmac.new(extracted, b"uid" + b"\x01", hashlib.sha256).digest()
    assert derive_key(KEY, "uid") == expanded


def test_another_key_gives_disjoint_pseudonyms() -> None:
    # Two nodes with different keys cannot be linked by what they export.
    first, second = Pseudonyms(KEY), Pseudonyms(OTHER_KEY)
    uids = [f"1.2.{number}" for number in range(200)]
    assert {first.uid(uid) for uid in uids}.isdisjoint(second.uid(uid) for uid in uids)
    assert {first.patient_id("", uid) for uid in uids}.isdisjoint(second.patient_id("", uid) for uid in uids)


@given(st.from_regex(r"[0-9]{1,10}(\.[0-9]{1,10}){1,4}", fullmatch=True))
def test_every_pseudonym_is_a_valid_uid(uid: str) -> None:
    # PS3.5 9.1: at most 64 characters, no leading zero; and padding does not make another UID of it.
    new = Pseudonyms(KEY).uid(uid)
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d*)", new)
    assert len(new) <= 64
    assert Pseudonyms(KEY).uid(uid + "\0") == new


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_shift_is_whole_days_back_and_never_none(issuer: str, patient_id: str) -> None:
    # A shift of 0 would leave the true dates.
    shift = Pseudonyms(KEY).shift_days(issuer, patient_id)
    assert -LONGEST_SHIFT_DAYS <= shift <= -1


def test_issuer_and_number_are_kept_apart() -> None:
    # The same number from two hospitals is two patients; ("ab", "c") is not ("a", "bc").
    pseudonyms = Pseudonyms(KEY)
    names = {pseudonyms.patient_id(*who) for who in (("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", ""))}
    assert len(names) == 4


def test_padding_does_not_make_another_patient() -> None:
    # LO values are padded with spaces that mean nothing (PS3.5 6.2).
    assert Pseudonyms(KEY).patient_id("A ", " 17 ") == Pseudonyms(KEY).patient_id("A", "17")


def test_patients_without_an_id_do_not_become_one() -> None:
    # The study stands for the patient, in a space of its own that no issuer on the wire can reach.
    first, second = Pseudonyms.patient_of_study("1.2.1"), Pseudonyms.patient_of_study("1.2.2")
    pseudonyms = Pseudonyms(KEY)
    assert pseudonyms.patient_id(*first) != pseudonyms.patient_id(*second)
    assert pseudonyms.patient_id(*first) != pseudonyms.patient_id("study", "1.2.1")


def test_purposes_do_not_leak_into_each_other() -> None:
    # From the name nobody can tell the Patient ID, though both follow from the same patient.
    pseudonyms = Pseudonyms(KEY)
    assert pseudonyms.patient_name("A", "1")[3:] != pseudonyms.patient_id("A", "1")[3:]


@pytest.mark.parametrize("key", [b"", KEY[:31], KEY + b"\0", bytes(32)])
def test_a_bad_key_is_refused(key: bytes) -> None:
    # A short key, and the zeros a crash can leave of a key file, must not pass for a secret.
    with pytest.raises(DeidentificationError, match="key"):
        Pseudonyms(key)


def test_the_key_does_not_show() -> None:
    # repr is what lands in logs and tracebacks.
    assert KEY.hex() not in repr(Pseudonyms(KEY))
    assert repr(KEY) not in repr(Pseudonyms(KEY))
