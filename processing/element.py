"""Data elements read without converting them: their VR, and their text.

pydicom keeps an element raw until it is asked for; most elements are kept or removed as they are, and converting all of
them would halve the speed and warn about values that are going to be removed anyway.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, cast

from pydicom import charset
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.multival import MultiValue

from processing.vr_rules import BACKSLASH_IS_TEXT, BULK_VRS, CHARACTER_SET_VRS, NUMBER_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom import Dataset

Element = DataElement | RawDataElement

_TEXT_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x5C}
_NAME_DELIMITERS = _TEXT_DELIMITERS | {0x3D, 0x5E}


def raw_element(dataset: Dataset, tag: int | str) -> Element | None:
    """Return an element as it was read, not converted; None where there is none."""
    return cast("Element", dataset.get_item(tag)) if tag in dataset else None


def known_vrs(tag: int) -> tuple[str, ...]:
    """Return the VRs that PS3.6 allows for a standard attribute; none where it is unknown."""
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return ()
    return () if vr == "NONE" else tuple(vr.split(" or "))


def value_representation(element: Element) -> str:
    """Return the VR to treat the element by: ``UN`` where it is unknown or contradicts PS3.6.

    A VR on the wire that is not the attribute's own could carry text as numbers or numbers as text. Integer and decimal
    strings may stand for each other; a VR of ``UN`` or none is looked up.
    """
    known = known_vrs(element.tag)
    stated = str(element.VR) if element.VR else "UN"
    if not known:
        return stated if len(stated) == 2 else "UN"
    if stated in known or (stated in {"DS", "IS"} and known[0] in {"DS", "IS"}):
        return stated
    if stated == "UN" or " or " in stated:
        return known[0]
    return "UN"


def text_values(element: Element, vr: str, encodings: Sequence[str]) -> tuple[str, ...]:
    """Return the values of an element of a string VR, without padding; undecodable bytes become U+FFFD."""
    if isinstance(element, RawDataElement):
        text = decode(element.value or b"", vr, encodings)
        parts = [text] if vr in BACKSLASH_IS_TEXT else text.split("\\")
    else:
        value = element.value
        many = isinstance(value, MultiValue | list | tuple)
        parts = [str(part) for part in value] if many else [str(value)] if value is not None else []
    return tuple(part.strip(" \0\t\r\n") for part in parts)


def decode(value: bytes, vr: str, encodings: Sequence[str]) -> str:
    """Return the text of a raw value; what does not decode becomes U+FFFD."""
    if vr not in CHARACTER_SET_VRS:
        return value.decode("ascii", errors="replace")
    if charset.ESC not in value:
        return value.decode(encodings[0], errors="replace")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return charset.decode_bytes(
            value, list(encodings), _NAME_DELIMITERS if vr == "PN" else _TEXT_DELIMITERS
        )


def python_encodings(dataset: Dataset, inherited: tuple[str, ...] = ("iso8859",)) -> tuple[str, ...] | None:
    """Return Python's names for the character sets of a data set or item; None where one is not in PS3.3 C.12.1.1.2."""
    element = raw_element(dataset, 0x00080005)
    if element is None:
        return inherited
    values = text_values(element, "CS", ("ascii",)) or ("",)
    known = [charset.python_encoding.get(value) for value in values]
    return None if None in known else tuple(name for name in known if name is not None)


def fits_multiplicity(element: Element, vr: str) -> bool:
    """Whether a binary number has no more values than PS3.6 allows: what is longer is no number but a hiding place."""
    if not isinstance(element, RawDataElement) or vr not in NUMBER_BYTES:
        return True
    size, length = NUMBER_BYTES[vr], len(element.value or b"")
    most = dictionary_VM(element.tag).split("-")[-1]
    return length % size == 0 and (not most.isdigit() or length <= size * int(most))


def is_bulk(vr: str) -> bool:
    """Whether values of this VR are bytes without a meaning of their own."""
    return vr in BULK_VRS
