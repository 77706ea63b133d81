"""What is done with each attribute: Table E.1-1 of PS3.15, resolved by the options and by the IOD's types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from processing.errors import DeidentificationError
from processing.iod_types import AttributeType
from processing.tables import confidentiality_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

BASIC_PROFILE_CODE = "113100"
BASIC_PROFILE_NAME = "Basic Application Confidentiality Profile"


class Option(StrEnum):
    """The options of PS3.15 Annex E by their codes in PS3.16 CID 7050."""

    CLEAN_PIXEL_DATA = "113101"
    CLEAN_RECOGNIZABLE_VISUAL_FEATURES = "113102"
    CLEAN_GRAPHICS = "113103"
    CLEAN_STRUCTURED_CONTENT = "113104"
    CLEAN_DESCRIPTORS = "113105"
    RETAIN_FULL_DATES = "113106"
    RETAIN_MODIFIED_DATES = "113107"
    RETAIN_PATIENT_CHARACTERISTICS = "113108"
    RETAIN_DEVICE_IDENTITY = "113109"
    RETAIN_UIDS = "113110"
    RETAIN_SAFE_PRIVATE = "113111"
    RETAIN_INSTITUTION_IDENTITY = "113112"

    @property
    def meaning(self) -> str:
        """The option's name as CID 7050 writes it."""
        return _MEANINGS[self]


_MEANINGS = {
    Option.CLEAN_PIXEL_DATA: "Clean Pixel Data Option",
    Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES: "Clean Recognizable Visual Features Option",
    Option.CLEAN_GRAPHICS: "Clean Graphics Option",
    Option.CLEAN_STRUCTURED_CONTENT: "Clean Structured Content Option",
    Option.CLEAN_DESCRIPTORS: "Clean Descriptors Option",
    Option.RETAIN_FULL_DATES: "Retain Longitudinal Temporal Information Full Dates Option",
    Option.RETAIN_MODIFIED_DATES: "Retain Longitudinal Temporal Information Modified Dates Option",
    Option.RETAIN_PATIENT_CHARACTERISTICS: "Retain Patient Characteristics Option",
    Option.RETAIN_DEVICE_IDENTITY: "Retain Device Identity Option",
    Option.RETAIN_UIDS: "Retain UIDs Option",
    Option.RETAIN_SAFE_PRIVATE: "Retain Safe Private Option",
    Option.RETAIN_INSTITUTION_IDENTITY: "Retain Institution Identity Option",
}

IMPLEMENTED = frozenset(
    {
        Option.RETAIN_FULL_DATES,
        Option.RETAIN_MODIFIED_DATES,
        Option.RETAIN_PATIENT_CHARACTERISTICS,
        Option.RETAIN_DEVICE_IDENTITY,
        Option.RETAIN_INSTITUTION_IDENTITY,
    }
)
"""The options that are really carried out; to ask for another is an error, never a claim without a deed."""


class Action(StrEnum):
    """What is done with one attribute (PS3.15 Table E.1-1a)."""

    KEEP = "K"
    CLEAN = "C"  # only dates and times: moved by the patient's shift
    REPLACE_UID = "U"
    EMPTY = "Z"
    REPLACE = "D"
    REMOVE = "X"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The Basic Application Level Confidentiality Profile with the options that change it.

    By default the dates are kept, moved by a number of days that is the patient's secret (113107): the intervals between
    studies are what follow-up research needs, and the real dates are not needed for them.

    Attributes
    ----------
    options
        Only implemented ones. Where two disagree, the stricter one counts.

    Raises
    ------
    DeidentificationError
        If an option is asked for that is not carried out.
    """

    options: frozenset[Option] = frozenset({Option.RETAIN_MODIFIED_DATES})

    def __post_init__(self) -> None:
        missing = sorted(option.meaning for option in self.options - IMPLEMENTED)
        if missing:
            raise DeidentificationError(
                f"not implemented: {', '.join(missing)}",
                hint=f"choose among: {', '.join(sorted(option.meaning for option in IMPLEMENTED))}",
            )

    @classmethod
    def from_names(cls, names: Iterable[str]) -> Self:
        """Return the profile with the options of these names (as in CID 7050) or codes.

        Raises
        ------
        DeidentificationError
            If a name is none of CID 7050, or its option is not implemented.
        """
        known = {option.meaning: option for option in Option} | {option.value: option for option in Option}
        wanted = tuple(names)
        if any(name not in known for name in wanted):
            raise DeidentificationError(
                "an option's name is not in CID 7050", hint=f"the names are: {', '.join(_MEANINGS.values())}"
            )
        return cls(options=frozenset(known[name] for name in wanted))

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """Code and meaning of what is done, for De-identification Method Code Sequence (0012,0064)."""
        return (
            (BASIC_PROFILE_CODE, BASIC_PROFILE_NAME),
            *((option.value, option.meaning) for option in sorted(self.options)),
        )

    @property
    def temporal_information(self) -> str:
        """The value of Longitudinal Temporal Information Modified (0028,0303) that is true of the result."""
        if Option.RETAIN_MODIFIED_DATES in self.options:
            return "MODIFIED"
        return "UNMODIFIED" if Option.RETAIN_FULL_DATES in self.options else "REMOVED"

    def action(self, tag: int, attribute_type: AttributeType) -> Action | None:
        """Return what the table asks for, or None where it is silent.

        Cleaning is returned for dates and times only. Where an option asks to clean text, the basic action stands:
        nothing here can tell a harmless sentence from another.
        """
        row = confidentiality_rows().get(tag)
        if row is None:
            return None
        basic, by_option = row
        if Option.RETAIN_MODIFIED_DATES in self.options and Option.RETAIN_MODIFIED_DATES in by_option:
            return Action.CLEAN
        granted = {by_option[option] for option in self.options if option in by_option}
        return Action.KEEP if granted == {Action.KEEP.value} else resolve(basic, attribute_type)

    def temporal_action(self, attribute_type: AttributeType) -> Action:
        """Return what is done with a date or time that the table does not list."""
        if Option.RETAIN_MODIFIED_DATES in self.options:
            return Action.CLEAN
        if Option.RETAIN_FULL_DATES in self.options:
            return Action.KEEP
        return resolve("X/Z/D", attribute_type)


def resolve(code: str, attribute_type: AttributeType) -> Action:
    """Return the one action that a code of Table E.1-1 means for an attribute of this type.

    Type 1 takes the last choice (a replacement), type 2 an empty value, type 3 the first (removal where it is offered).
    A plain Z on a type 1 attribute becomes a replacement, which Z allows. References (X/Z/U*) that the IOD asks for stay,
    with new UIDs: an empty one would contradict what else the instance says of its references.

    Source
    ------
    PS3.15 Table E.1-1a.
    """
    choices = [Action(part.rstrip("*")) for part in code.split("/")]
    if Action.REPLACE_UID in choices and attribute_type is AttributeType.REQUIRED_MAY_BE_EMPTY:
        return Action.REPLACE_UID
    if attribute_type is AttributeType.OPTIONAL:
        return choices[0]
    if attribute_type is AttributeType.REQUIRED:
        return Action.REPLACE if choices == [Action.EMPTY] else choices[-1]
    return Action.EMPTY if Action.EMPTY in choices else choices[-1]


DEFAULT_PROFILE = Profile()
