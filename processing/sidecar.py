"""The JSON file beside a volume: from which instances it was made, how, and how the images were acquired.

What goes in is a list, so that nothing else can: numbers within the range that their attribute can have, words
that the standard defines, names from lists of our own. No text that a person wrote, no date, no name and no
identifier gets in, except UIDs as the export names them. Keys are those of dcm2niix where it has one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.datadict import tag_for_keyword

from processing.attributes import AttributeReader, quiet_values
from processing.errors import OutputError
from processing.vocabulary import is_defined_term, is_safe_text

if TYPE_CHECKING:
    import pydicom

    from processing.findings import Finding
    from processing.volume import Volume

SOFTWARE = "Darkroom"
UNKNOWN_TERM = "OTHER"
"""Stands in Image Type, where the place of a value counts, for a word that nobody defines."""

_UID_IN_TEXT = re.compile(r"(?<![\d.])[0-2](?:\.\d+){2,}")  # rather too much than too little
_KERNEL = 0x00181210  # Convolution Kernel
_DECIMALS = 9  # of seconds: a nanosecond


@dataclass(frozen=True, slots=True, kw_only=True)
class _Number:
    """A numeric attribute, what the sidecar calls it, and which values it can have."""

    keyword: str
    name: str
    largest: float
    smallest: float = 0.0
    milliseconds: bool = False
    """Written in seconds."""


_NUMBERS = (
    _Number(keyword="MagneticFieldStrength", name="MagneticFieldStrength", largest=30),
    _Number(keyword="ImagingFrequency", name="ImagingFrequency", largest=2000),
    _Number(keyword="RepetitionTime", name="RepetitionTime", largest=600_000, milliseconds=True),
    _Number(keyword="EchoTime", name="EchoTime", largest=10_000, milliseconds=True),
    _Number(keyword="EchoNumbers", name="EchoNumber", largest=1000),
    _Number(keyword="EchoTrainLength", name="EchoTrainLength", largest=10_000),
    _Number(keyword="InversionTime", name="InversionTime", largest=60_000, milliseconds=True),
    _Number(keyword="FlipAngle", name="FlipAngle", largest=360),
    _Number(keyword="NumberOfAverages", name="NumberOfAverages", largest=10_000),
    _Number(keyword="PixelBandwidth", name="PixelBandwidth", largest=1e6),
    _Number(keyword="PercentSampling", name="PercentSampling", largest=1000),
    _Number(keyword="PercentPhaseFieldOfView", name="PercentPhaseFOV", largest=1000),
    _Number(keyword="NumberOfPhaseEncodingSteps", name="PhaseEncodingSteps", largest=100_000),
    _Number(keyword="SAR", name="SAR", largest=100),
    _Number(keyword="SliceThickness", name="SliceThickness", largest=1000),
    _Number(keyword="SpacingBetweenSlices", name="SpacingBetweenSlices", smallest=-1000, largest=1000),
    _Number(keyword="KVP", name="KVP", largest=1000),
    _Number(keyword="XRayTubeCurrent", name="XRayTubeCurrent", largest=10_000),
    _Number(keyword="Exposure", name="XRayExposure", largest=100_000),
    _Number(keyword="ExposureTime", name="ExposureTime", largest=1e7, milliseconds=True),
    _Number(keyword="GantryDetectorTilt", name="GantryDetectorTilt", smallest=-90, largest=90),
    _Number(keyword="ReconstructionDiameter", name="ReconstructionDiameter", largest=3000),
    _Number(keyword="DataCollectionDiameter", name="DataCollectionDiameter", largest=3000),
    _Number(keyword="SpiralPitchFactor", name="SpiralPitchFactor", largest=10),
    _Number(keyword="SingleCollimationWidth", name="SingleCollimationWidth", largest=1000),
    _Number(keyword="TotalCollimationWidth", name="TotalCollimationWidth", largest=1000),
)
_NUMBERS_OF_TRACERS = (
    _Number(keyword="RadionuclideHalfLife", name="RadionuclideHalfLife", largest=1e7),
    _Number(keyword="RadionuclidePositronFraction", name="RadionuclidePositronFraction", largest=1),
)

_TERMS = {
    "Modality": "Modality",
    "PatientPosition": "PatientPosition",
    "BodyPartExamined": "BodyPart",
    "MRAcquisitionType": "MRAcquisitionType",
    "ScanningSequence": "ScanningSequence",
    "SequenceVariant": "SequenceVariant",
    "ScanOptions": "ScanOptions",
    "InPlanePhaseEncodingDirection": "InPlanePhaseEncodingDirectionDICOM",
    "PhotometricInterpretation": "PhotometricInterpretation",
    "Units": "Units",
    "DecayCorrection": "DecayCorrection",
    "CountsSource": "CountsSource",
    "CorrectedImage": "CorrectedImage",
    "SeriesType": "SeriesType",
}
"""Attributes of coded strings and what the sidecar calls them; several values are joined by backslashes."""

_MANUFACTURERS = {
    "SIEMENS": "Siemens", "GE MEDICAL": "GE", "GE HEALTHCARE": "GE", "GENERAL ELECTRIC": "GE", "PHILIPS": "Philips",
    "CANON": "Canon", "TOSHIBA": "Toshiba", "UIH": "UIH", "UNITED IMAGING": "UIH", "HITACHI": "Hitachi",
    "FUJI": "Fujifilm", "BRUKER": "Bruker", "MEDISO": "Mediso", "HOLOGIC": "Hologic", "AGFA": "Agfa",
    "CARESTREAM": "Carestream", "KONICA": "Konica Minolta", "SAMSUNG": "Samsung", "SHIMADZU": "Shimadzu",
    "NEUSOFT": "Neusoft", "MINDRAY": "Mindray",
}  # fmt: skip
"""Part of a manufacturer's name in upper case, and the name that is written for it."""


def technical_attributes(dataset: pydicom.Dataset) -> dict[str, object]:
    """Return how an image was acquired, under dcm2niix's names, in the units of BIDS (seconds).

    A value that its attribute cannot have, or a word that nobody defines, is left out without a trace: it may be
    something that a person typed in.
    """
    with quiet_values():
        reader = AttributeReader(dataset)
        found: dict[str, object] = dict(_numbers(reader, _NUMBERS))
        tracers = dataset.get("RadiopharmaceuticalInformationSequence")
        if reader.has_items("RadiopharmaceuticalInformationSequence") and len(tracers) == 1:
            found |= _numbers(AttributeReader(tracers[0]), _NUMBERS_OF_TRACERS)
        found |= _terms(reader)
        image_type = [_image_type_term(value.upper()) for value in reader.texts("ImageType")]
        manufacturer = _manufacturer(reader.text("Manufacturer"))
        kernel = [value for value in reader.texts("ConvolutionKernel") if is_safe_text(_KERNEL, "SH", value)]
    return found | {
        name: value
        for name, value in (
            ("ImageType", image_type),
            ("Manufacturer", manufacturer),
            ("ConvolutionKernel", "\\".join(kernel)),
        )
        if value
    }


def _numbers(reader: AttributeReader, wanted: Iterable[_Number]) -> dict[str, float]:
    found = {}
    for number in wanted:
        value = reader.number_or_none(number.keyword)
        if value is None or not number.smallest <= value <= number.largest:
            continue
        value = round(value / 1000, _DECIMALS) if number.milliseconds else value
        found[number.name] = int(value) if value.is_integer() else value
    return found


def _terms(reader: AttributeReader) -> dict[str, str]:
    found = {}
    for keyword, name in _TERMS.items():
        known = [value for value in reader.texts(keyword) if value and _is_term(keyword, value)]
        if known:
            found[name] = "\\".join(known)
    return found


def _is_term(keyword: str, value: str) -> bool:
    tag = tag_for_keyword(keyword)
    return tag is not None and is_defined_term(tag, value)


def _image_type_term(value: str) -> str:
    return value if _is_term("ImageType", value) else UNKNOWN_TERM


def _manufacturer(text: str) -> str:
    folded = text.upper()
    if folded in {"GE", "GEMS"}:
        return "GE"
    return next((name for part, name in _MANUFACTURERS.items() if part in folded), "")


def describe_volume(
    volume: Volume,
    technical: Mapping[str, object],
    *,
    findings: Sequence[Finding],
    exported_uid: Callable[[str], str],
    parameters: Mapping[str, object],
    version: str,
) -> dict[str, object]:
    """Return the sidecar of a volume as JSON values.

    Parameters
    ----------
    volume
        What the NIfTI file beside holds.
    technical
        See `technical_attributes`.
    findings
        What to know of the volume; UIDs in their texts and details are replaced like the others.
    exported_uid
        Returns a UID as the export names it: a replacement in a de-identified export, else the UID itself.
    parameters
        JSON values; what is needed to make the volume again byte for byte.
    version
        Of this software.

    Raises
    ------
    OutputError
        If a value is none that JSON has.
    """
    plan, affine = volume.plan, volume.affine_lps
    slices, rows, columns = volume.values.shape
    own = {
        "ConversionSoftware": SOFTWARE,
        "ConversionSoftwareVersion": version,
        "Parameters": parameters,
        "Shape": [columns, rows, slices],
        "VoxelSizeMm": np.linalg.norm(affine[:3, :3], axis=0).tolist(),
        "AffineLps": affine.tolist(),
        "ValueSlope": volume.scale_slope,
        "ValueIntercept": volume.scale_intercept,
        "SourceInstances": plan.sop_instance_uids,
        "RepeatedInstances": sorted(repeat.sop_instance_uid for _, repeat in plan.twins),
        "Findings": [
            {
                "Code": str(finding.code),
                "Message": finding.message,
                "Instances": finding.sop_instance_uids,
                "Details": finding.details,
            }
            for finding in findings
        ],
    }
    described = _json_value({**technical, **own}, exported_uid)
    if not isinstance(described, dict):  # a mapping stays one
        raise OutputError("A sidecar is no JSON object.")
    return described | {"ConversionSoftwareVersion": version}  # 0.1.0 looks like a UID and is none


def _json_value(value: object, exported_uid: Callable[[str], str]) -> object:
    """Return a value as JSON has it: finite numbers without minus zero, lists, UIDs as the export names them."""
    match value:
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value + 0.0
        case str():
            return _UID_IN_TEXT.sub(lambda found: exported_uid(found.group()), value)
        case Mapping():
            return {
                str(_json_value(str(key), exported_uid)): _json_value(item, exported_uid)
                for key, item in value.items()
            }
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [_json_value(item, exported_uid) for item in value]
    raise OutputError(f"A value of type {type(value).__name__} cannot be written as JSON.")


def encode_sidecar(described: Mapping[str, object]) -> bytes:
    """Return a sidecar as canonical JSON: UTF-8, keys sorted, two spaces, numbers that read back the same.

    Raises
    ------
    OutputError
        If a value is none that JSON has.
    """
    try:
        text = json.dumps(described, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise OutputError("A value cannot be written as JSON.") from error
    return f"{text}\n".encode()
