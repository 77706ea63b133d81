"""What each attribute of a data set becomes, in its items too: the rules of the profile carried out."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom import DataElement, Dataset, Sequence
from pydicom._uid_dict import UID_dictionary
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement

from processing import vocabulary
from processing.element import (
    fits_multiplicity,
    is_bulk,
    known_vrs,
    python_encodings,
    raw_element,
    text_values,
    value_representation,
)
from processing.errors import DeidentificationError
from processing.identifiers import MAXIMUM_DEPTH, sequence_items
from processing.profile import Action, Option, resolve
from processing.redaction import EXTENDED_OFFSET_TABLES
from processing.vr_rules import (
    CHARACTER_SET_VRS,
    DATE_VRS,
    NUMBER_BYTES,
    OLDEST_AGE_YEARS,
    REPLACEMENTS,
    STRING_VRS,
    TEXT_VRS,
    age_years,
    cap_age,
    clean_zone,
    is_number,
    shift_value,
)

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

    from processing.element import Element
    from processing.identifiers import Identifiers
    from processing.iod_types import TypeNode
    from processing.profile import Profile
    from processing.pseudonyms import Pseudonyms

PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
ISSUER_OF_PATIENT_ID = 0x00100021
PATIENT_BIRTH_DATE = 0x00100030
TIMEZONE_OFFSET = 0x00080201
ENCRYPTED_ATTRIBUTES = 0x04000500

CODE_VALUES = (0x00080100, 0x00080119, 0x00080120)  # Code Value, Long Code Value, URN Code Value
CODING_SCHEME_DESIGNATOR = 0x00080102
CODING_SCHEME_VERSION = 0x00080103
CODE_MEANING = 0x00080104
CODE_ATTRIBUTES = frozenset(
    {*CODE_VALUES, *range(0x00080103, 0x00080110), 0x00080117, 0x00080118, 0x00080121, 0x00080122}
)
"""The Code Sequence Macro (PS3.3 table 8.8-1): written anew from the dictionary, or gone with its item."""

LABELLED = frozenset(
    {
        0x00080050,  # Accession Number
        0x00120040,  # Clinical Trial Subject ID
        0x00120042,  # Clinical Trial Subject Reading ID
        0x00200010,  # Study ID
        0x00400512,  # Container Identifier
        0x00400551,  # Specimen Identifier
    }
)
"""Identifiers that become keyed labels where the IOD wants a value: what was different stays different."""

ANY_TYPE = "X/Z/D"  # what the table says of nearly all text: as much as the IOD needs, and no more
UNPLACED_GROUPS = (
    frozenset({0xFFFA, 0xFFFC}) | frozenset(range(0x5000, 0x5100)) | frozenset(range(0x6000, 0x6100))
)
NO_DATASET_GROUPS = frozenset(range(0x0008))  # commands, file meta information, directories


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Whose data set it is, and what follows from the key for that person.

    Attributes
    ----------
    shift_days
        By how much every date of this patient moves.
    study_date
        A DA of the data set, to tell the age at the study; empty where there is none.
    """

    patient_id: str
    patient_name: str
    shift_days: int
    study_date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriter:
    """Carries out a profile on one data set; `counts` says how often it did what."""

    profile: Profile
    pseudonyms: Pseudonyms
    patient: Patient
    identifiers: Identifiers
    counts: Counter[str] = field(default_factory=Counter)

    def dataset(
        self, source: Dataset, node: TypeNode, encodings: tuple[str, ...] = ("iso8859",), depth: int = 0
    ) -> Dataset:
        """Return a new data set (or item) with what may stay of `source`; elements that stay are not converted."""
        if depth > MAXIMUM_DEPTH:
            raise DeidentificationError(f"sequences are nested deeper than {MAXIMUM_DEPTH} levels")
        encodings = python_encodings(source, encodings) or encodings
        result = Dataset()
        # All text that stays unconverted is ASCII, so the default repertoire is its true one.
        implicit, little = source.original_encoding
        result.set_original_encoding(implicit, little, default_encoding)
        place = _Place(rewriter=self, source=source, encodings=encodings, depth=depth)
        for tag in sorted(source.keys()):
            element = place.rewrite(tag, node.child(tag))
            if element is not None:
                result[tag] = element
        return result

    def count(self, what: str) -> None:
        """Count one more of what was done."""
        self.counts[what] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One data set or item under work."""

    rewriter: Rewriter
    source: Dataset
    encodings: tuple[str, ...]
    depth: int

    def rewrite(self, tag: BaseTag, node: TypeNode) -> Element | None:
        """Return what the element of this tag becomes; None if it goes. The order is that of the law."""
        if tag.is_private:
            return self._removed("private")
        if tag.group in UNPLACED_GROUPS or tag.group in NO_DATASET_GROUPS or tag.element == 0:
            return self._removed("group")
        if tag == ENCRYPTED_ATTRIBUTES or tag in EXTENDED_OFFSET_TABLES or tag in CODE_ATTRIBUTES:
            return None
        element = raw_element(self.source, tag)
        if element is None:
            return None
        vr = value_representation(element)
        action = self.rewriter.profile.action(tag, node.attribute_type)
        if action is not None:
            return self._by_table(element, vr, node, action)
        return self._by_vr(element, vr, node)

    # -- what the table says ------------------------------------------------------------------------------------------

    def _by_table(self, element: Element, vr: str, node: TypeNode, action: Action) -> Element | None:
        tag = element.tag
        if tag in {PATIENT_ID, PATIENT_NAME, PATIENT_BIRTH_DATE}:
            return self._patient(element, vr)
        if action is Action.REMOVE:
            return self._removed()
        if vr == "SQ" and action is not Action.EMPTY:
            return self._sequence(tag, node)
        match action:
            case Action.KEEP:
                return self._retained(element, vr, node)
            case Action.CLEAN:
                return self._shifted(element, vr, node)
            case Action.REPLACE_UID:
                return self._uids(element, vr)
        return self._substitute(element, vr, action)

    def _patient(self, element: Element, vr: str) -> Element | None:
        values = text_values(element, vr, self.encodings) if vr in STRING_VRS else ()
        value = values[0] if values else ""
        if element.tag == PATIENT_BIRTH_DATE:
            return self._birth_date(element, value)
        if self.depth == 0 or not value:
            own = self.rewriter.patient
            text = own.patient_id if element.tag == PATIENT_ID else own.patient_name
        else:
            issuer = self._text(ISSUER_OF_PATIENT_ID)
            pseudonym = self.rewriter.pseudonyms
            other = self._text(PATIENT_ID) or value
            of = pseudonym.patient_id if element.tag == PATIENT_ID else pseudonym.patient_name
            text = of(issuer, other)
        self.rewriter.count("replaced")
        return DataElement(element.tag, known_vrs(element.tag)[0], text)

    def _birth_date(self, element: Element, value: str) -> Element:
        """Empty it, as the table says; with patient characteristics and dates retained, move it with the others.

        Above 89 years a birth date says an age that is an identifier, so there it is emptied all the same.
        """
        options, patient = self.rewriter.profile.options, self.rewriter.patient
        moved = None
        if {Option.RETAIN_PATIENT_CHARACTERISTICS, Option.RETAIN_MODIFIED_DATES} <= options:
            age = age_years(value, patient.study_date)
            if age is not None and 0 <= age <= OLDEST_AGE_YEARS:
                moved = shift_value("DA", value, patient.shift_days)
        self.rewriter.count("emptied" if moved is None else "shifted")
        return DataElement(element.tag, "DA", moved or "")

    def _retained(self, element: Element, vr: str, node: TypeNode) -> Element | None:
        """Return what an option keeps, if it is what its VR promises."""
        if vr in DATE_VRS:
            return self._shifted(element, vr, node, days=0)
        if vr in {"AS", "DS", "IS"}:
            values = text_values(element, vr, self.encodings)
            kept = [cap_age(value) if vr == "AS" else value for value in values]
            good = all(
                value is not None and (vr == "AS" or not value or is_number(vr, value)) for value in kept
            )
            return (
                self._kept(DataElement(element.tag, vr, kept)) if good else self._default(element, vr, node)
            )
        if vr in CHARACTER_SET_VRS:
            return self._kept(DataElement(element.tag, vr, list(text_values(element, vr, self.encodings))))
        return self._default(element, vr, node) if vr == "UN" or is_bulk(vr) else self._kept(element)

    def _shifted(self, element: Element, vr: str, node: TypeNode, days: int | None = None) -> Element | None:
        shift = self.rewriter.patient.shift_days if days is None else days
        values = text_values(element, vr, self.encodings) if vr in STRING_VRS else ()
        moved: list[str | None]
        if element.tag == TIMEZONE_OFFSET:
            moved = [clean_zone(value) for value in values]
        elif vr in DATE_VRS:
            moved = [shift_value(vr, value, shift) if value else "" for value in values]
        else:
            return self._default(element, vr, node)
        if any(value is None for value in moved):
            return self._default(element, vr, node)
        self.rewriter.count("shifted")
        return DataElement(element.tag, vr, moved[0] if len(moved) == 1 else moved)

    # -- what the VR says ---------------------------------------------------------------------------------------------

    def _by_vr(self, element: Element, vr: str, node: TypeNode) -> Element | None:
        if vr == "SQ":
            return self._sequence(element.tag, node)
        if vr in DATE_VRS:
            action = self.rewriter.profile.temporal_action(node.attribute_type)
            return self._by_table(element, vr, node, action)
        if vr == "UI":
            return self._uids(element, vr)
        if vr == "CS":
            return self._code_strings(element, node)
        if self._says_nothing(element, vr):
            return self._kept(element)
        if vr in TEXT_VRS or vr in {"AE", "AS", "PN", "UR"}:
            return self._default(element, vr, node)
        return self._substitute(element, vr, Action.EMPTY if vr in {"DS", "IS"} else Action.REMOVE)

    def _says_nothing(self, element: Element, vr: str) -> bool:
        """Whether an element that the table does not list tells of the image only."""
        identifiers = self.rewriter.identifiers
        if element.tag == CODING_SCHEME_DESIGNATOR:
            return all(map(vocabulary.is_coding_scheme, text_values(element, vr, self.encodings)))
        if vr in {"LO", "SH"}:
            values = text_values(element, vr, self.encodings)
            return all(
                vocabulary.is_safe_text(element.tag, vr, value) and not identifiers.appear_in(value)
                for value in values
            )
        if vr in {"DS", "IS"}:
            values = text_values(element, vr, self.encodings)
            return all(not v or (is_number(vr, v) and not identifiers.contain_number(v)) for v in values)
        if is_bulk(vr):
            return element.tag in vocabulary.SAFE_BULK and (self.depth == 0 or element.tag.group != 0x7FE0)
        return vr in NUMBER_BYTES and fits_multiplicity(element, vr)

    def _uids(self, element: Element, vr: str) -> Element:
        values = text_values(element, vr, self.encodings) if vr in STRING_VRS else ("unreadable",)
        if all(not value or value in UID_dictionary for value in values):
            return self._kept(element)
        self.rewriter.count("uids replaced")
        new = [
            value if not value or value in UID_dictionary else self.rewriter.pseudonyms.uid(value)
            for value in values
        ]
        return DataElement(element.tag, "UI", new[0] if len(new) == 1 else new)

    def _code_strings(self, element: Element, node: TypeNode) -> Element | None:
        values = text_values(element, "CS", self.encodings)
        known = [not value or vocabulary.is_defined_term(element.tag, value) for value in values]
        if all(known):
            return self._kept(element)
        self.rewriter.count("terms removed")
        if element.tag in vocabulary.POSITIONAL_CODE_STRINGS:
            kept = [value if good else "OTHER" for value, good in zip(values, known, strict=True)]
        else:
            kept = [value for value, good in zip(values, known, strict=True) if good and value]
        if not kept:
            return self._default(element, "CS", node)
        return DataElement(element.tag, "CS", kept[0] if len(kept) == 1 else kept)

    # -- sequences and codes ------------------------------------------------------------------------------------------

    def _sequence(self, tag: BaseTag, node: TypeNode) -> Element | None:
        items = sequence_items(self.source, tag)
        kept = [result for result in (self._item(item, node) for item in items) if result is not None]
        if items and not any(kept):
            action = resolve(ANY_TYPE, node.attribute_type)
            if action is Action.REMOVE:
                return self._removed()
            kept = (kept or [replacement_code()]) if action is Action.REPLACE else []
        return DataElement(tag, "SQ", Sequence(kept))

    def _item(self, item: Dataset, node: TypeNode) -> Dataset | None:
        """Return an item de-identified; None if it is a code that nobody knows."""
        coded = any(tag in item for tag in CODE_VALUES)
        code = self._code(item) if coded else Dataset()
        if code is None:
            self.rewriter.count("codes removed")
            return None
        result = self.rewriter.dataset(item, node, self.encodings, self.depth + 1)
        result.update(code)
        return result

    def _code(self, item: Dataset) -> Dataset | None:
        """Return a code with the standard's own meaning; None if code or scheme is not known."""
        inside = _Place(rewriter=self.rewriter, source=item, encodings=self.encodings, depth=self.depth + 1)
        value, scheme = inside._text(CODE_VALUES[0]), inside._text(CODING_SCHEME_DESIGNATOR)
        meaning = vocabulary.concept_meaning(value, scheme)
        if meaning is None:
            return None
        self.rewriter.count("codes kept")
        code = code_item(value, scheme, meaning)
        version = inside._text(CODING_SCHEME_VERSION)
        if vocabulary.is_version(version):
            code.add_new(CODING_SCHEME_VERSION, "SH", version)
        return code

    # -- the ways an element ends -------------------------------------------------------------------------------------

    def _default(self, element: Element, vr: str, node: TypeNode) -> Element | None:
        """Do as much as the IOD's type needs to an element that may not stay."""
        return self._substitute(element, vr, resolve(ANY_TYPE, node.attribute_type))

    def _substitute(self, element: Element, vr: str, action: Action) -> Element | None:
        own = known_vrs(element.tag)
        vr = own[0] if vr == "UN" and own else vr
        if action is Action.EMPTY and vr != "UN":
            self.rewriter.count("emptied")
            return DataElement(element.tag, vr, Sequence() if vr == "SQ" else "")
        if action is Action.REPLACE and vr in REPLACEMENTS:
            self.rewriter.count("replaced")
            return DataElement(element.tag, vr, self._replacement(element, vr))
        return self._removed()

    def _replacement(self, element: Element, vr: str) -> str:
        if element.tag not in LABELLED:
            return REPLACEMENTS[vr]
        return self.rewriter.pseudonyms.label(str(element.tag), self._text(element.tag))

    def _kept(self, element: Element) -> Element:
        self.rewriter.count("kept")
        if isinstance(element, RawDataElement):
            return element
        return copy.deepcopy(element)

    def _removed(self, what: str = "removed") -> Element | None:
        self.rewriter.count(what)
        gone: Element | None = None
        return gone

    def _text(self, tag: int) -> str:
        """Return the first value of a string attribute of this place; empty where there is none."""
        element = raw_element(self.source, tag)
        vr = value_representation(element) if element is not None else ""
        if element is None or vr not in STRING_VRS:
            return ""
        values = text_values(element, vr, self.encodings)
        return values[0] if values else ""


def code_item(code_value: str, scheme: str, meaning: str) -> Dataset:
    """Return an item of a code sequence (PS3.3 table 8.8-1)."""
    item = Dataset()
    item.add_new(CODE_VALUES[0], "SH", code_value)
    item.add_new(CODING_SCHEME_DESIGNATOR, "SH", scheme)
    item.add_new(CODE_MEANING, "LO", meaning)
    return item


def replacement_code() -> Dataset:
    """Return the code that stands where there must be one."""
    return code_item(vocabulary.OWN_CODE, vocabulary.OWN_SCHEME, vocabulary.OWN_MEANING)
