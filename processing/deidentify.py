"""De-identified copies of instances, by PS3.15 Annex E.

`deidentify` gives a new data set; `encode` gives its bytes, with nothing beside the data set that is not ours. Both are
functions of their input and the key alone: the same instance gives the same bytes on every node, every time.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
from pydicom import DataElement, Dataset, Sequence
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from processing.element import python_encodings, raw_element, text_values
from processing.errors import DeidentificationError, HeldError
from processing.holds import hold_reasons
from processing.identifiers import Identifiers
from processing.iod_types import iod_types
from processing.profile import DEFAULT_PROFILE
from processing.pseudonyms import Pseudonyms
from processing.redaction import (
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    NATIVE,
    PIXEL_DATA,
    SUPPORTED,
    clean_pixel_data,
    pixel_layout,
)
from processing.rewriting import ISSUER_OF_PATIENT_ID, PATIENT_ID, Patient, Rewriter, code_item
from processing.tables import edition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processing.profile import Profile

__all__ = ["Deidentified", "Report", "deidentify", "encode", "hold_reasons"]

ENGINE = "Darkroom"
ENGINE_VERSION = "3"
"""Changes when the same input and key give other bytes."""

IMPLEMENTATION_CLASS_UID = "2.25.146166049890741917263527252331047905825"
IMPLEMENTATION_VERSION_NAME = "DARKROOM_1"

DEIDENTIFYING_EQUIPMENT = ("109104", "DCM", "De-identifying Equipment")
CONTRIBUTING_EQUIPMENT_SEQUENCE = 0x0018A001

_STUDY_DATES = (0x00080020, 0x00080022, 0x00080021, 0x00080023)  # study, acquisition, series, content


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was done, without a word of what was there.

    Attributes
    ----------
    sop_instance_uid
        The new one.
    counts
        How often each thing was done to an attribute, at any depth.
    codes
        Code and meaning (CID 7050) of what the result claims.
    """

    sop_instance_uid: str
    counts: Mapping[str, int]
    codes: tuple[tuple[str, str], ...]
    table_edition: str
    engine_version: str
    key_fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deidentified:
    """A de-identified data set and the report on it.

    Attributes
    ----------
    dataset
        New; shares no value that could be changed with the original.
    """

    dataset: Dataset
    report: Report


def deidentify(
    dataset: Dataset,
    *,
    profile: Profile = DEFAULT_PROFILE,
    pseudonyms: Pseudonyms,
    transfer_syntax_uid: str | None = None,
) -> Deidentified:
    """Return a de-identified copy of an instance; the instance itself is not changed.

    Parameters
    ----------
    dataset
        With or without its pixels, as read: what is not converted yet stays so.
    transfer_syntax_uid
        What the pixels are encoded in; by default as the file meta information or the data set's own encoding says.

    Raises
    ------
    HeldError
        If it may identify the patient all the same (`hold_reasons` says why).
    DeidentificationError
        If its pixels or sequences cannot be followed to the last byte.

    Source
    ------
    PS3.15 E.1 (the profile), E.1.1 (what an attribute becomes, in items of sequences too), E.3.6 (modified dates).
    """
    _refuse_held(dataset)
    rewriter = Rewriter(
        profile=profile,
        pseudonyms=pseudonyms,
        patient=_patient(dataset, pseudonyms),
        identifiers=Identifiers.of(dataset),
    )
    result = rewriter.dataset(dataset, iod_types(str(dataset.SOPClassUID)))
    syntax = transfer_syntax_uid or _transfer_syntax_uid(dataset)
    _clean_pixels(result, syntax)
    _mark(result, profile, rewriter.patient)
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = UID(syntax)
    report = Report(
        sop_instance_uid=str(result.SOPInstanceUID),
        counts=dict(sorted(rewriter.counts.items())),
        codes=profile.codes,
        table_edition=edition(),
        engine_version=ENGINE_VERSION,
        key_fingerprint=pseudonyms.fingerprint,
    )
    return Deidentified(dataset=result, report=report)


def _refuse_held(dataset: Dataset) -> None:
    held = hold_reasons(dataset)
    if held:
        raise HeldError(
            f"held: {', '.join(finding.code for finding in held)}",
            hint="look at the instance; where its device declares wrongly, correct it there",
            sop_instance_uids=held[0].sop_instance_uids,
        )


def _patient(dataset: Dataset, pseudonyms: Pseudonyms) -> Patient:
    """Return whose data set it is: the issuer's Patient ID, or where that is empty, the study's own nobody."""
    encodings = python_encodings(dataset) or ("iso8859",)

    def first(tag: int, vr: str) -> str:
        element = raw_element(dataset, tag)
        values = text_values(element, vr, encodings) if element is not None else ()
        return values[0] if values else ""

    who = (first(ISSUER_OF_PATIENT_ID, "LO"), first(PATIENT_ID, "LO"))
    if not who[1]:
        who = Pseudonyms.patient_of_study(first(0x0020000D, "UI"))
    dates = (first(tag, "DA") for tag in _STUDY_DATES)
    return Patient(
        patient_id=pseudonyms.patient_id(*who),
        patient_name=pseudonyms.patient_name(*who),
        shift_days=pseudonyms.shift_days(*who),
        study_date=next((date for date in dates if date), ""),
    )


def _transfer_syntax_uid(dataset: Dataset) -> str:
    """Return what the data set is encoded in; a data set made in memory is taken as explicit, little endian."""
    stated = str((getattr(dataset, "file_meta", None) or {}).get("TransferSyntaxUID", ""))
    if stated:
        return stated
    pixels = raw_element(dataset, PIXEL_DATA)
    if pixels is not None and _is_encapsulated(pixels):
        raise DeidentificationError("the pixels are compressed and nothing says how")
    implicit, little = dataset.original_encoding
    if implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRBigEndian if little is False else ExplicitVRLittleEndian)


def _is_encapsulated(element: DataElement | RawDataElement) -> bool:
    if isinstance(element, RawDataElement):
        return element.length == 0xFFFFFFFF
    return bool(element.is_undefined_length)


def _clean_pixels(result: Dataset, transfer_syntax_uid: str) -> None:
    """Replace the pixels of the new data set by clean ones."""
    if transfer_syntax_uid not in SUPPORTED:
        raise DeidentificationError("the transfer syntax is not one whose bytes are understood")
    for tag, size in ((FLOAT_PIXEL_DATA, 4), (DOUBLE_FLOAT_PIXEL_DATA, 8)):
        if tag in result:
            _cut(result, tag, size)
    element = raw_element(result, PIXEL_DATA)
    if element is None:
        return
    if not isinstance(element.value, bytes):
        raise DeidentificationError("the pixels must be read into memory first")
    cleaned = clean_pixel_data(result, element.value, transfer_syntax_uid)
    encapsulated = transfer_syntax_uid not in NATIVE
    vr = "OB" if encapsulated or element.VR == "OB" else "OW"
    pixels = DataElement(PIXEL_DATA, vr, cleaned, already_converted=True)
    pixels.is_undefined_length = encapsulated
    result[PIXEL_DATA] = pixels


def _cut(result: Dataset, tag: int, size: int) -> None:
    """Cut floating point pixels to the length that the header asks for."""
    element = result[tag]
    length = pixel_layout(result).samples * size
    if not isinstance(element.value, bytes) or len(element.value) < length:
        raise DeidentificationError("there are fewer pixels than the header says")
    result[tag] = DataElement(tag, element.VR, element.value[:length], already_converted=True)


def _mark(result: Dataset, profile: Profile, patient: Patient) -> None:
    """Write into the data set what it has become, and only that: earlier claims are replaced.

    Source
    ------
    PS3.15 E.1.1 points 6 to 8; PS3.3 C.7.1.1 (patient), C.12.1.1.9 (contributing equipment); CID 7050.
    """
    result.PatientName = patient.patient_name
    result.PatientID = patient.patient_id
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = [f"{ENGINE} {ENGINE_VERSION}", f"PS3.15 {edition()} Table E.1-1"]
    result.DeidentificationMethodCodeSequence = Sequence(
        [code_item(code, "DCM", meaning) for code, meaning in profile.codes]
    )
    result.LongitudinalTemporalInformationModified = profile.temporal_information
    equipment = _equipment()
    earlier = (
        result[CONTRIBUTING_EQUIPMENT_SEQUENCE].value if CONTRIBUTING_EQUIPMENT_SEQUENCE in result else []
    )
    others = [item for item in earlier if item != equipment]
    result.add_new(CONTRIBUTING_EQUIPMENT_SEQUENCE, "SQ", Sequence([*others, equipment]))


def _equipment() -> Dataset:
    item = Dataset()
    item.Manufacturer = ENGINE
    item.ManufacturerModelName = ENGINE
    item.SoftwareVersions = ENGINE_VERSION
    item.PurposeOfReferenceCodeSequence = Sequence([code_item(*DEIDENTIFYING_EQUIPMENT)])
    return item


def encode(dataset: Dataset, transfer_syntax_uid: str | None = None) -> bytes:
    """Return a data set of `deidentify` as a Part 10 file: zero preamble, our own file meta information, data set.

    Parameters
    ----------
    transfer_syntax_uid
        By default the one that `deidentify` noted: that of the original. Compressed pixels can be in no other.

    Source
    ------
    PS3.10 section 7.1.
    """
    own = str(dataset.file_meta.TransferSyntaxUID)
    syntax = UID(transfer_syntax_uid or own)
    if syntax != own and PIXEL_DATA in dataset and not {str(syntax), own} <= NATIVE - {ExplicitVRBigEndian}:
        raise DeidentificationError("the pixels are not encoded in that transfer syntax")
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    instance = Dataset(dataset)
    implicit, little = dataset.original_encoding
    instance.set_original_encoding(implicit, little, default_encoding)
    instance.file_meta = meta
    instance.preamble = bytes(128)
    buffer = io.BytesIO()
    pydicom.dcmwrite(
        buffer,
        instance,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        enforce_file_format=True,
    )
    return buffer.getvalue()
