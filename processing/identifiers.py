"""Who and what a data set names: gathered first, so that no kept text can repeat it."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Self, cast

from processing.element import python_encodings, raw_element, text_values, value_representation
from processing.errors import DeidentificationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset
    from pydicom.tag import BaseTag

    from processing.element import Element

MAXIMUM_DEPTH = 64
"""How deep sequences may be nested; the standard's own IODs need fewer than ten levels."""

IDENTIFYING = frozenset(
    {
        0x00080050,  # Accession Number
        0x00080080,  # Institution Name
        0x00081010,  # Station Name
        0x00081040,  # Institutional Department Name
        0x00100020,  # Patient ID
        0x00100021,  # Issuer of Patient ID
        0x00101000,  # Other Patient IDs
        0x00101040,  # Patient's Address
        0x00101050,  # Insurance Plan Identification
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00181000,  # Device Serial Number
        0x00200010,  # Study ID
        0x00380010,  # Admission ID
        0x00401001,  # Requested Procedure ID
    }
)
"""Attributes outside PN whose whole value names a person, a visit or a place."""

_WORD = re.compile(r"[^\W_]+")
SHORTEST_IDENTIFIER = 4  # of letters and digits; what is shorter is in too many harmless words

LEAST_DIGITS = 6
DATE_DIGITS = 8


def plain(text: str) -> str:
    """Return the letters and digits of a text, folded, so that punctuation hides nothing."""
    return "".join(_WORD.findall(text)).casefold()


class Identifiers:
    """The names, identifiers and dates of one data set.

    Parameters
    ----------
    words
        Parts of persons' names; one of two or three letters counts as a whole word only.
    numbers
        Identifiers and dates, compared without punctuation.
    """

    __slots__ = ("_long", "_short")

    def __init__(self, words: set[str], numbers: set[str]) -> None:
        gathered = {plain(text) for text in words | numbers}
        self._long = frozenset(text for text in gathered if len(text) >= SHORTEST_IDENTIFIER)
        self._short = frozenset(text for text in gathered if 1 < len(text) < SHORTEST_IDENTIFIER)

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the identifiers that a data set holds in its standard attributes, at any depth.

        Raises
        ------
        DeidentificationError
            If sequences are nested deeper than any IOD has them.
        """
        words: set[str] = set()
        numbers: set[str] = set()
        for element, vr, encodings in walk(dataset):
            if vr == "PN":
                words.update(
                    word for value in text_values(element, vr, encodings) for word in _WORD.findall(value)
                )
            elif vr in {"DA", "DT"}:
                days = (plain(value)[:DATE_DIGITS] for value in text_values(element, vr, encodings))
                numbers.update(day for day in days if len(day) == DATE_DIGITS)
            elif element.tag in IDENTIFYING:
                numbers.update(text_values(element, vr, encodings))
        return cls(words, numbers)

    def appear_in(self, text: str) -> bool:
        """Whether the text repeats one of the identifiers, in any spelling of case and punctuation."""
        folded = plain(text)
        words = {word.casefold() for word in _WORD.findall(text)}
        return not words.isdisjoint(self._short) or any(identifier in folded for identifier in self._long)

    def contain_number(self, value: str) -> bool:
        """Whether a number is one of the identifiers: the whole of it, and long enough not to be so by chance."""
        return len(value) >= LEAST_DIGITS and value.lstrip("+-") in self._long


def walk(
    dataset: Dataset, encodings: tuple[str, ...] = ("iso8859",), depth: int = 0
) -> Iterator[tuple[Element, str, tuple[str, ...]]]:
    """Yield every standard element that is no sequence, with its VR and the character sets it is in, at any depth."""
    if depth > MAXIMUM_DEPTH:
        raise DeidentificationError(f"sequences are nested deeper than {MAXIMUM_DEPTH} levels")
    encodings = python_encodings(dataset, encodings) or encodings
    for tag in sorted(dataset.keys()):
        if tag.is_private:
            continue
        element = cast("Element", raw_element(dataset, tag))
        vr = value_representation(element)
        if vr != "SQ":
            yield element, vr, encodings
            continue
        for item in sequence_items(dataset, tag):
            yield from walk(item, encodings, depth + 1)


def sequence_items(dataset: Dataset, tag: BaseTag) -> tuple[Dataset, ...]:
    """Return the items of a sequence; none of an empty one.

    Raises
    ------
    DeidentificationError
        If its bytes are no sequence.
    """
    try:
        element = dataset[tag]
        items = tuple(element.value or ()) if element.VR == "SQ" else None
    except (ValueError, TypeError, EOFError, OSError, NotImplementedError, struct.error) as error:
        raise DeidentificationError("the bytes of a sequence cannot be read") from error
    if items is None:
        raise DeidentificationError("the bytes of a sequence are not one")
    return items
