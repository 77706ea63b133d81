"""An invented patient planted everywhere in a data set, and the search for what is left of her.

Every planted value is unique to its attribute and depth, so that a leak says where it came from.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pydicom
from pydicom import DataElement, Dataset, Sequence
from pydicom.config import disable_value_validation
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from processing.rewriting import CODE_ATTRIBUTES
from processing.tables import confidentiality_rows
from tests.series_factory import ct_series

if TYPE_CHECKING:
    from collections.abc import Iterable

FAMILY_NAME = "Zwartkijker"
GIVEN_NAME = "Ottoline"
PATIENT_ID = "ZK-4711-OTTO"
DATES = (
    "19370429",
    "1937-04-29",
    "29.04.1937",
    "04/29/1937",
    "29 APR 1937",
    "29-APR-1937",
    "1937.04.29",
    "370429",
)
DATE = DATES[0]
TIME = "131415.926535"

CARRIERS = (0x52009229, 0x00209116, 0x00209113)
"""Sequences that stay, one inside the other: each level carries everything once more."""

STRUCTURE = frozenset({0x00080005, 0x00080016, 0x0020000D, 0x0020000E, *CARRIERS})
IDENTITY = frozenset({0x00080018, 0x00200052})  # SOP Instance UID, Frame of Reference UID
TEXT_VRS = ("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
UNKNOWN_TO_PYDICOM = {0x00100011: "SQ", 0x00100041: "SQ", 0x0040B034: "DT"}


@dataclass(kw_only=True)
class Planted:
    """A data set full of a patient, and each token that must not be found again."""

    dataset: Dataset
    tokens: dict[str, int] = field(default_factory=dict)
    """What was planted, and in which attribute."""

    def encode(self, *, implicit: bool = False) -> bytes:
        """Return the data set as a Part 10 file with what can stand beside a data set planted too."""
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        meta.SourceApplicationEntityTitle = "ZQSOURCEAE"
        meta.SendingApplicationEntityTitle = "ZQSENDINGAE"
        meta.ReceivingApplicationEntityTitle = "ZQRECEIVINGAE"
        meta.ImplementationVersionName = "ZQVERSION"
        meta.PrivateInformationCreatorUID = "1.2.3.4711.2"
        meta.PrivateInformation = b"ZQPRIVATEINFO "
        self.dataset.file_meta = meta
        self.dataset.preamble = b"ZQPREAMBLE".ljust(128, b"!")
        for token in (
            "ZQSOURCEAE",
            "ZQSENDINGAE",
            "ZQRECEIVINGAE",
            "ZQVERSION",
            "ZQPRIVATEINFO",
            "ZQPREAMBLE",
        ):
            self.tokens[token] = 0x00020000
        self.tokens["1.2.3.4711.2"] = 0x00020100
        buffer = io.BytesIO()
        with disable_value_validation():
            self.dataset.save_as(buffer, enforce_file_format=True, implicit_vr=implicit, little_endian=True)
        return buffer.getvalue()

    def read(self, *, implicit: bool = False) -> Dataset:
        """Return the data set as a reader has it: every element raw."""
        return pydicom.dcmread(io.BytesIO(self.encode(implicit=implicit)))

    def found_in(self, data: bytes) -> dict[str, int]:
        """Return the tokens that `data` still holds in one encoding or another."""
        return {token: tag for token, tag in self.tokens.items() if holds(data, token)}


def holds(data: bytes, token: str) -> bool:
    """Whether bytes hold a text as ASCII, UTF-8 or UTF-16 of either order, in either case."""
    spellings = (token, token.lower(), token.upper(), token.title())
    return any(
        s.encode(encoding) in data for s in spellings for encoding in ("utf-8", "utf-16-le", "utf-16-be")
    )


def word(tag: int, depth: int) -> str:
    """Return eleven letters that stand for an attribute at a depth: a word with nothing of a number or a date in it."""
    return "ZQ" + "".join("GHIJKLMNOPQRSTUV"[int(digit, 16)] for digit in f"{tag:08X}{depth}")


def vr_of(tag: int) -> str:
    """Return the VR to plant an attribute with."""
    try:
        vr = dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return UNKNOWN_TO_PYDICOM.get(tag, "LO")
    return "OB" if vr == "UN" else vr


def value(tag: int, vr: str, depth: int, planted: Planted) -> object:
    """Return a planted value for an attribute, and note its token."""
    said = word(tag, depth)
    number = f"93{tag % 10**8}{depth}"[:12]
    uid = f"1.2.3.4711.{tag}.{depth}"
    by_vr: dict[str, tuple[str, object]] = {
        "UI": (uid, uid),
        "DA": (DATE, DATE),
        "DT": (DATE, DATE + TIME),
        "TM": (TIME, TIME),
        "AS": ("093Y", "093Y"),
        "DS": (number, number),
        "IS": (number, number),
        "OB": (said, said.encode() + b" "),
        "PN": (said, f"{said}^{GIVEN_NAME}=={FAMILY_NAME}"),
        "UR": (said, f"https://example.invalid/{said}"),
        "SQ": (said, Sequence([inner(said)])),
        "US": ("", 4711),
    }
    found, content = by_vr.get(vr, (said, said))
    if found:
        planted.tokens[found] = tag
    return content


def inner(token: str) -> Dataset:
    """Return an item that says its token in attributes the table lists and does not list, and as a code."""
    item = Dataset()
    item.PatientName = token
    item.TextValue = token
    item.CodeValue = token
    item.CodingSchemeDesignator = "99ZQ"
    item.CodeMeaning = token
    return item


def plant(dataset: Dataset, tags: Iterable[int], depth: int, planted: Planted) -> None:
    """Give `dataset` a planted value in each attribute."""
    with disable_value_validation():
        for tag in tags:
            vr = vr_of(tag)
            dataset[tag] = DataElement(tag, vr, value(tag, vr, depth, planted))


def plant_deeply(tags: Iterable[int], planted: Planted, *, depths: int = 4) -> None:
    """Give a data set a planted value in each of `tags`, at every depth from 0 to 3.

    What says which instance of which series it is, and in which frame of reference, stays as it is on the top.
    """
    wanted = [tag for tag in tags if tag not in STRUCTURE and tag >> 16 not in {0, 2}]
    place = planted.dataset
    for depth in range(depths):
        plant(place, [tag for tag in wanted if depth or tag not in IDENTITY], depth, planted)
        if depth + 1 < depths:
            item = Dataset()
            item.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
            place[CARRIERS[depth]] = DataElement(CARRIERS[depth], "SQ", Sequence([item]))
            place = item
    planted.dataset.BurnedInAnnotation = "NO"
    planted.dataset.SamplesPerPixel = 1


def plant_aside(planted: Planted) -> None:
    """Hide the patient where no attribute of the table is: private blocks, overlays, curves, behind the pixels."""
    dataset = planted.dataset
    block = dataset.private_block(0x0029, "ZQCREATOR", create=True)
    block.add_new(0x10, "LO", "ZQPRIVATE")
    block.add_new(0x11, "SQ", Sequence([inner("ZQINNER")]))
    block.add_new(0x12, "UN", b"ZQUNKNOWN ")
    for tag, vr, content in (
        (0x50003000, "OW", b"ZQCURVEDATA "),
        (0x501E2500, "LO", "ZQCURVELABEL"),
        (0x60003000, "OW", b"ZQOVERLAY "),
        (0x60020022, "LO", "ZQOVERLAYNAME"),
    ):
        dataset[tag] = DataElement(tag, vr, content)
    # What follows the last pixel, in the same value.
    dataset[0x7FE00010] = DataElement(0x7FE00010, "OW", dataset.PixelData + b"ZQBEHINDPIXELS")


def planted_patient(tags: Iterable[int], *, enhanced: bool = False, depths: int = 4) -> Planted:
    """Return a CT instance with the patient in each of `tags`, at every depth from 0 to 3."""
    dataset = ct_series()[0]
    planted = Planted(dataset=dataset)
    plant(dataset, sorted(IDENTITY & set(tags)), 0, planted)
    plant_deeply(tags, planted, depths=depths)
    if enhanced:
        dataset.SOPClassUID = EnhancedCTImageStorage
        dataset.NumberOfFrames = 1
    return planted


def table_tags() -> list[int]:
    """Return every attribute of Table E.1-1, private ones and repeating groups apart."""
    return sorted(confidentiality_rows())


def text_tags() -> list[int]:
    """Return every attribute that PS3.6 gives a text VR, the retired ones also.

    Those of codes are left out: an item with an unknown code goes as a whole, and would hide what else is in it.
    """
    texts = (tag for tag, entry in DicomDictionary.items() if entry[0] in TEXT_VRS and tag >> 16 >= 8)
    return sorted(set(texts) - CODE_ATTRIBUTES)
