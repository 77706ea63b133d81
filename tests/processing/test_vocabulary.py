"""Words that may stay."""

from __future__ import annotations

import pytest

from processing.tables import confidentiality_rows
from processing.vocabulary import SAFE_TEXT, concept_meaning, is_coding_scheme, is_defined_term, is_safe_text

MODEL = 0x00081090
MANUFACTURER = 0x00080070
KERNEL = 0x00181210


@pytest.mark.parametrize(
    ("tag", "vr", "text", "safe"),
    [
        (MODEL, "LO", "SOMATOM Definition AS+", True),
        (MODEL, "LO", "Zwartkijker^Ottoline", False),  # the form of a name
        (MODEL, "LO", "CT 29-04-1937", False),
        (MODEL, "LO", "installed 29 APR 1937", False),
        (MODEL, "LO", "4711471", False),  # seven figures are an identifier or a date
        (MODEL, "LO", "x" * 65, False),
        (MODEL, "LO", "Mu\u0308ller", False),  # not plain characters
        (KERNEL, "SH", "B31f", True),
        (KERNEL, "SH", "x" * 17, False),
        (MANUFACTURER, "LO", "Philips Medical Systems / MIM Software", True),
        (MANUFACTURER, "LO", "FUJI PHOTO FILM Co., Ltd.", True),
        (MANUFACTURER, "LO", "Siemens Zwartkijker", False),
        (MANUFACTURER, "LO", "Zwartkijker", False),
        (0x00081030, "LO", "CT", False),  # Study Description is not on the list
    ],
)
def test_text_stays_only_on_the_list_and_in_its_form(tag: int, vr: str, text: str, safe: bool) -> None:
    # A listed attribute is no licence for any value.
    assert is_safe_text(tag, vr, text) is safe


def test_nothing_on_the_list_has_a_rule_of_the_standard() -> None:
    # The table has the first word; the list is for what it misses.
    assert SAFE_TEXT.isdisjoint(confidentiality_rows())


@pytest.mark.parametrize(
    ("tag", "term", "known"),
    [
        (0x00080008, "ORIGINAL", True),
        (0x00080008, "MOSAIC", True),  # a vendor's, reviewed
        (0x00080008, "ECHO_00", True),
        (0x00080008, "ZWARTKIJKER", False),
        (0x00280004, "MONOCHROME2", True),
        (0x00080005, "ISO_IR 192", True),
        (0x00080005, "MONOCHROME2", False),  # a term, but no character set
        (0x00200020, "AL", True),
        (0x00200020, "OTTOLINE", False),
    ],
)
def test_code_strings_are_words_of_the_standard(tag: int, term: str, known: bool) -> None:
    # A CS is sixteen capital letters: enough for most names.
    assert is_defined_term(tag, term) is known


@pytest.mark.parametrize(
    ("code", "scheme", "meaning"),
    [
        ("113100", "DCM", "Basic Application Confidentiality Profile"),
        ("T-D1100", "SRT", "Head structure (body structure)"),  # the old form of a SNOMED code
        ("113100", "99ZQ", None),
        ("OTTOLINE", "DCM", None),
    ],
)
def test_meanings_come_from_the_standard(code: str, scheme: str, meaning: str | None) -> None:
    # Code Meaning is free text that a device wrote; the dictionary's is not.
    assert concept_meaning(code, scheme) == meaning


def test_coding_schemes_are_those_with_known_codes() -> None:
    # A scheme's designator is SH: it could be a name.
    assert is_coding_scheme("SCT")
    assert not is_coding_scheme("OTTOLINE")
