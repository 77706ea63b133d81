"""Why an instance must not leave before a person has looked at it: its pixels may name the patient, or it is not understood.

Headers are enough for all of it, so that every export of pixels, in whatever form, can ask before it reads any.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydicom import uid as uids
from pydicom.dataelem import RawDataElement

from processing.element import decode, python_encodings, raw_element, text_values, value_representation
from processing.errors import DeidentificationError
from processing.findings import Finding
from processing.identifiers import MAXIMUM_DEPTH, walk
from processing.iod_types import is_known
from processing.redaction import SUPPORTED
from processing.vocabulary import SPECIFIC_CHARACTER_SET, is_defined_term
from processing.vr_rules import CHARACTER_SET_VRS, STRING_VRS, is_uid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

WITHOUT_PIXELS = frozenset(
    {
        uids.RTStructureSetStorage,
        uids.RTPlanStorage,
        uids.SpatialRegistrationStorage,
        uids.DeformableSpatialRegistrationStorage,
        uids.RealWorldValueMappingStorage,
    }
)

COMPUTED = frozenset({uids.SegmentationStorage, uids.RTDoseStorage, uids.ParametricMapStorage})
"""Values that a program computed on a grid of voxels; there is no picture for text to be in."""

MEASURED = frozenset(
    {
        uids.CTImageStorage,
        uids.EnhancedCTImageStorage,
        uids.LegacyConvertedEnhancedCTImageStorage,
        uids.MRImageStorage,
        uids.EnhancedMRImageStorage,
        uids.LegacyConvertedEnhancedMRImageStorage,
        uids.PositronEmissionTomographyImageStorage,
        uids.EnhancedPETImageStorage,
        uids.LegacyConvertedEnhancedPETImageStorage,
        uids.NuclearMedicineImageStorage,
    }
)
"""Reconstructed from measurements: devices write no text into these, unless they are screens in disguise."""

DECLARING = frozenset(
    {
        uids.ComputedRadiographyImageStorage,
        uids.DigitalXRayImageStorageForPresentation,
        uids.DigitalXRayImageStorageForProcessing,
        uids.DigitalMammographyXRayImageStorageForPresentation,
        uids.DigitalMammographyXRayImageStorageForProcessing,
        uids.DigitalIntraOralXRayImageStorageForPresentation,
        uids.DigitalIntraOralXRayImageStorageForProcessing,
        uids.BreastTomosynthesisImageStorage,
        uids.UltrasoundImageStorage,
        uids.UltrasoundMultiFrameImageStorage,
        uids.EnhancedUSVolumeStorage,
        uids.SecondaryCaptureImageStorage,
        uids.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uids.MultiFrameTrueColorSecondaryCaptureImageStorage,
        uids.XRayAngiographicImageStorage,
        uids.EnhancedXAImageStorage,
        uids.XRayRadiofluoroscopicImageStorage,
        uids.EnhancedXRFImageStorage,
        uids.XRay3DAngiographicImageStorage,
        uids.XRay3DCraniofacialImageStorage,
        uids.RTImageStorage,
        uids.EnhancedMRColorImageStorage,
        uids.VLEndoscopicImageStorage,
        uids.VLPhotographicImageStorage,
        uids.OphthalmicPhotography8BitImageStorage,
        uids.OphthalmicPhotography16BitImageStorage,
        uids.OphthalmicTomographyImageStorage,
    }
)
"""Devices do write names and dates into these; they leave only where the device declares that it did not."""

HANDLED = WITHOUT_PIXELS | COMPUTED | MEASURED | DECLARING
"""Everything else is held: reports, presentation states, documents, waveforms, video, raw data, and the unknown."""

DECLARING_MODALITIES = frozenset(
    {"CR", "DX", "ES", "GM", "IO", "MG", "OT", "PX", "RF", "RG", "SC", "US", "XA", "XC"}
)

# Words of an Image Type that stand for a picture of a screen: dose pages, patient pages, saved screens, result tables.
_SCREEN_WORDS = frozenset(
    """CAPTURE DOSE INFO PASTED PATIENT PROTOCOL REPORT RESULT RESULTS SAVE SCREEN SCREENSAVE SCREENSHOT SUMMARY SURVIEW
    TABLE TEXT""".split()  # noqa: SIM905 -- a list of words is read as one
)
_SCREEN_CONVERSIONS = frozenset({"DF", "DRW", "DV", "SD", "WSD"})  # film, drawing, video, paper, workstation
_WORD = re.compile(r"[A-Z0-9]+")

_REASONS = {
    "sop-class": "the SOP class is not one that is understood to the last attribute",
    "transfer-syntax": "the transfer syntax is not one whose bytes are understood",
    "identity": "a UID that every instance must have is missing or malformed",
    "burned-in-annotation": "the device says that the pixels hold annotation",
    "burned-in-annotation-unknown": "the pixels may hold annotation; the device does not say that they do not",
    "screen": "the image is a picture of a screen or of paper",
    "recognizable-visual-features": "the device says that the patient can be recognised",
    "character-set": "the character set is unknown, or text does not decode in it",
    "sequence": f"a sequence cannot be read, or is nested deeper than {MAXIMUM_DEPTH} levels",
}


def hold_reasons(dataset: Dataset) -> tuple[Finding, ...]:
    """Return every reason why this instance must not leave, in any form; none if it may.

    The data set needs no pixels. An instance without a reason may still be refused by `deidentify`, which looks at the
    bytes.
    """
    sop_instance_uid = _text(dataset, "SOPInstanceUID")
    about = (sop_instance_uid,) if is_uid(sop_instance_uid) else ()
    codes = dict.fromkeys((*_identity_reasons(dataset), *_pixel_reasons(dataset), *_text_reasons(dataset)))
    return tuple(Finding(code=code, message=_REASONS[code], sop_instance_uids=about) for code in codes)


def _identity_reasons(dataset: Dataset) -> Iterator[str]:
    sop_class_uid = _text(dataset, "SOPClassUID")
    if sop_class_uid not in HANDLED or not is_known(sop_class_uid):
        yield "sop-class"
    if not all(
        is_uid(_text(dataset, keyword))
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    ):
        yield "identity"
    transfer_syntax_uid = str((getattr(dataset, "file_meta", None) or {}).get("TransferSyntaxUID", ""))
    if transfer_syntax_uid and transfer_syntax_uid not in SUPPORTED:
        yield "transfer-syntax"


def _pixel_reasons(dataset: Dataset) -> Iterator[str]:
    burned_in = _text(dataset, "BurnedInAnnotation")
    if burned_in == "YES":
        yield "burned-in-annotation"
    elif burned_in != "NO" and (burned_in or _needs_declaration(dataset)):
        yield "burned-in-annotation-unknown"
    if _is_screen(dataset):
        yield "screen"
    if _text(dataset, "RecognizableVisualFeatures") == "YES":
        yield "recognizable-visual-features"


def _needs_declaration(dataset: Dataset) -> bool:
    """Whether only a declaration can say that nothing is burned in.

    Measured images need none if they are grey and either primary or placed in the patient: a screen is neither.
    """
    sop_class_uid = _text(dataset, "SOPClassUID")
    if sop_class_uid in WITHOUT_PIXELS or sop_class_uid in COMPUTED:
        return False
    if sop_class_uid not in MEASURED or _text(dataset, "Modality") in DECLARING_MODALITIES:
        return True
    colour = _text(dataset, "SamplesPerPixel") not in {"", "1"}
    return colour or not ("PRIMARY" in _texts(dataset, "ImageType") or _is_placed(dataset))


def _is_placed(dataset: Dataset) -> bool:
    keywords = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID")
    return all(_text(dataset, keyword) for keyword in keywords)


def _is_screen(dataset: Dataset) -> bool:
    words = {word for value in _texts(dataset, "ImageType") for word in _WORD.findall(value.upper())}
    return not words.isdisjoint(_SCREEN_WORDS) or _text(dataset, "ConversionType") in _SCREEN_CONVERSIONS


def _text_reasons(dataset: Dataset) -> Iterator[str]:
    try:
        if not all(_decodes(dataset)):
            yield "character-set"
    except DeidentificationError:
        yield "sequence"


def _decodes(dataset: Dataset) -> Iterator[bool]:
    yield python_encodings(dataset) is not None
    for element, vr, encodings in walk(dataset):
        if element.tag == SPECIFIC_CHARACTER_SET:
            values = text_values(element, "CS", encodings)
            yield all(is_defined_term(SPECIFIC_CHARACTER_SET, value) for value in values)
        elif vr in CHARACTER_SET_VRS and isinstance(element, RawDataElement):
            yield "\ufffd" not in decode(element.value or b"", vr, encodings)


def _texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of an attribute as text, without a warning or an error for what they are."""
    element = raw_element(dataset, keyword)
    if element is None:
        return ()
    vr = value_representation(element)
    if vr in STRING_VRS:
        return text_values(element, vr, ("ascii",))
    if isinstance(element, RawDataElement):
        order: Literal["little", "big"] = "little" if element.is_little_endian else "big"
        return (str(int.from_bytes(element.value or b"", order)),)
    return (str(element.value),)


def _text(dataset: Dataset, keyword: str) -> str:
    """Return the first value of an attribute as text; empty where there is none."""
    values = _texts(dataset, keyword)
    return values[0] if values else ""
