"""Folding: what is equal for a reader of names is equal for a query."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.folding import fold


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Müller^Zoë", "muller^zoe"),
        ("MU\u0308LLER", "muller"),  # the mark may come as a character of its own
        ("STRASSE", fold("Straße")),
        ("Å=Ω^ή", "a=ω^η"),
        ("\uff39\uff41\uff4d\uff41^\uff34", "yama^t"),
        ("", ""),
    ],
)
def test_case_marks_and_widths_do_not_count(text: str, folded: str) -> None:
    """The same name written by different devices folds to one text; the delimiters stay."""
    assert fold(text) == folded


@pytest.mark.parametrize("text", ["が", "パ", "हिंदी", "김희중", "क़"])
def test_what_makes_another_letter_stays(text: str) -> None:
    """Marks that make a letter of their own (voicing, nukta, virama, syllables) are no accents."""
    assert fold(text) == unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text))


def test_a_syllable_stays_one_character() -> None:
    """A single-character wildcard means a syllable, so folding leaves it in one piece."""
    assert len(fold("희")) == 1


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    """What is in the index is folded; folding it again finds it still."""
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet=st.characters(codec="latin-1")))
def test_case_never_counts(text: str) -> None:
    """Upper, lower and written case fold alike."""
    assert fold(text.upper()) == fold(text) == fold(text.lower())
