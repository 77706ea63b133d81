"""The header of one single-frame image, as the values that decide about volumes.

Real headers are incomplete and odd, so what is absent is ``None`` and never a guess; what is present and cannot
be what it says (two values for Rows, letters for a number) raises `HeaderError` where a decision hangs on it, and
counts as absent where none does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processing.attributes import AttributeReader, quiet_values
from processing.errors import HeaderError
from processing.tiling import tile_count

if TYPE_CHECKING:
    import pydicom

Vector = tuple[float, float, float]
Cosines = tuple[float, float, float, float, float, float]

TECHNIQUE_KEYWORDS = (
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "BodyPartExamined", "PatientPosition",
    "MagneticFieldStrength", "ImagingFrequency", "ScanningSequence", "SequenceVariant", "ScanOptions",
    "SequenceName", "MRAcquisitionType", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle",
    "EchoNumbers", "EchoTrainLength", "PixelBandwidth", "NumberOfAverages", "PercentSampling",
    "PercentPhaseFieldOfView", "InPlanePhaseEncodingDirection", "NumberOfPhaseEncodingSteps", "ReceiveCoilName",
    "TransmitCoilName", "SAR", "SliceThickness", "SpacingBetweenSlices", "KVP", "XRayTubeCurrent", "Exposure",
    "ExposureTime", "ConvolutionKernel", "FilterType", "GantryDetectorTilt", "ReconstructionDiameter",
    "DataCollectionDiameter", "SpiralPitchFactor", "SingleCollimationWidth", "TotalCollimationWidth", "RescaleType",
    "Units", "DecayCorrection", "CorrectedImage", "CountsSource", "SeriesType", "ReconstructionMethod",
    "AttenuationCorrectionMethod", "ScatterCorrectionMethod", "ActualFrameDuration",
)  # fmt: skip
"""Public attributes that tell how the image was made and nothing of whom; sidecars choose from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One VOI window (PS3.3 C.11.2): centre and width in modality values."""

    center: float
    width: float
    function: str = "LINEAR"
    """LINEAR, LINEAR_EXACT or SIGMOID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """What volumes, pictures and sidecars need of an image's header. Absent is None or empty."""

    sop_instance_uid: str
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    series_instance_uid: str = ""
    study_instance_uid: str = ""
    frame_of_reference_uid: str = ""
    modality: str = ""
    image_type: tuple[str, ...] = ()
    """Upper case, without padding."""
    complex_component: str = ""
    """Complex Image Component (0008,9208), upper case."""

    rows: int | None = None
    columns: int | None = None
    samples_per_pixel: int | None = None
    photometric_interpretation: str = ""
    planar_configuration: int | None = None
    bits_allocated: int | None = None
    bits_stored: int | None = None
    high_bit: int | None = None
    pixel_representation: int | None = None
    number_of_frames: int = 1
    tile_count: int = 1
    """How many slices one frame holds as tiles; 1 for a plain frame (see `processing.tiling`)."""
    has_pixel_data: bool = False

    position_lps: Vector | None = None
    """Image Position (Patient): centre of the first pixel, mm."""
    orientation_lps: Cosines | None = None
    """Image Orientation (Patient): row cosines, then column cosines."""
    row_spacing_mm: float | None = None
    """Distance of neighbouring rows: the first value of Pixel Spacing."""
    column_spacing_mm: float | None = None
    """Distance of neighbouring columns: the second value of Pixel Spacing."""
    slice_thickness_mm: float | None = None

    has_rescale: bool = False
    rescale_slope: float = 1.0
    rescale_intercept: float = 0.0
    has_modality_lut: bool = False
    windows: tuple[Window, ...] = ()
    presentation_lut_shape: str = ""
    pixel_padding_value: int | None = None
    pixel_padding_range_limit: int | None = None

    instance_number: int | None = None
    acquisition_number: int | None = None
    temporal_position: int | None = None
    trigger_time_ms: float | None = None
    frame_reference_time_ms: float | None = None
    acquisition_datetime: str = ""
    """``YYYYMMDDHHMMSS.FFFFFF``, or empty unless both date and time are known."""
    echo_number: int | None = None
    echo_time_ms: float | None = None
    b_value: float | None = None
    gradient_direction: Vector | None = None
    stack_id: str = ""
    coil_element: str = ""
    """The single coil element of an uncombined image; empty for combined ones."""

    technique: tuple[tuple[str, str | int | float | tuple[str | int | float, ...]], ...] = ()
    """(keyword, value) of `TECHNIQUE_KEYWORDS` that are present, in that order."""

    @property
    def is_localizer(self) -> bool:
        """Whether the image is a scout, which lies across the others."""
        return "LOCALIZER" in self.image_type


def read_header(dataset: pydicom.Dataset, *, has_pixel_data: bool | None = None) -> FrameHeader:
    """Return the header of an image's data set; its pixels are not touched.

    Parameters
    ----------
    dataset
        As pydicom reads it; reading may have stopped before Pixel Data.
    has_pixel_data
        Whether the instance has pixel data, where that is known from elsewhere (a data set that was read
        without its pixels does not tell); None to look in `dataset`.

    Raises
    ------
    HeaderError
        If an attribute that decides about the volume is present and malformed.
    """
    with quiet_values():
        reader = AttributeReader(dataset)
        sop_instance_uid = reader.text("SOPInstanceUID")
        if not sop_instance_uid:
            raise HeaderError("The data set has no SOP Instance UID.", keyword="SOPInstanceUID")
        try:
            return FrameHeader(
                sop_instance_uid=sop_instance_uid,
                has_pixel_data=_has_pixels(dataset) if has_pixel_data is None else has_pixel_data,
                **_identity(reader),
                **_pixels(reader),
                **_plane(reader),
                **_values(reader),
                **_order(reader),
            )
        except HeaderError as error:
            error.sop_instance_uids = (sop_instance_uid,)
            raise


def _has_pixels(dataset: pydicom.Dataset) -> bool:
    return any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


def _identity(reader: AttributeReader) -> dict[str, Any]:
    image_type = tuple(value.upper() for value in reader.texts("ImageType"))
    return {
        "sop_class_uid": reader.text("SOPClassUID"),
        "transfer_syntax_uid": reader.transfer_syntax_uid(),
        "series_instance_uid": reader.text("SeriesInstanceUID"),
        "study_instance_uid": reader.text("StudyInstanceUID"),
        "frame_of_reference_uid": reader.text("FrameOfReferenceUID"),
        "modality": reader.text("Modality").upper(),
        "image_type": image_type,
        "complex_component": reader.text("ComplexImageComponent").upper(),
        "tile_count": tile_count(reader.dataset, image_type),
        "technique": tuple(
            (keyword, value) for keyword in TECHNIQUE_KEYWORDS if (value := reader.plain(keyword)) is not None
        ),
    }


def _pixels(reader: AttributeReader) -> dict[str, Any]:
    return {
        "rows": reader.integer("Rows"),
        "columns": reader.integer("Columns"),
        "samples_per_pixel": reader.integer("SamplesPerPixel"),
        "photometric_interpretation": reader.text("PhotometricInterpretation").upper(),
        "planar_configuration": reader.integer("PlanarConfiguration"),
        "bits_allocated": reader.integer("BitsAllocated"),
        "bits_stored": reader.integer("BitsStored"),
        "high_bit": reader.integer("HighBit"),
        "pixel_representation": reader.integer("PixelRepresentation"),
        "number_of_frames": reader.integer("NumberOfFrames") or 1,
    }


def _plane(reader: AttributeReader) -> dict[str, Any]:
    spacing = reader.numbers("PixelSpacing", count=2)
    return {
        "position_lps": reader.numbers("ImagePositionPatient", count=3),
        "orientation_lps": reader.numbers("ImageOrientationPatient", count=6),
        "row_spacing_mm": spacing[0] if spacing else None,
        "column_spacing_mm": spacing[1] if spacing else None,
        "slice_thickness_mm": reader.number_or_none("SliceThickness"),
    }


def _values(reader: AttributeReader) -> dict[str, Any]:
    slope, intercept = reader.number("RescaleSlope"), reader.number("RescaleIntercept")
    return {
        "has_rescale": slope is not None or intercept is not None,
        "rescale_slope": 1.0 if slope is None else slope,
        "rescale_intercept": 0.0 if intercept is None else intercept,
        "has_modality_lut": reader.has_items("ModalityLUTSequence"),
        "windows": _windows(reader),
        "presentation_lut_shape": reader.text("PresentationLUTShape").upper(),
        "pixel_padding_value": reader.integer_or_none("PixelPaddingValue"),
        "pixel_padding_range_limit": reader.integer_or_none("PixelPaddingRangeLimit"),
    }


def _windows(reader: AttributeReader) -> tuple[Window, ...]:
    centers, widths = reader.numbers_or_none("WindowCenter"), reader.numbers_or_none("WindowWidth")
    function = reader.text("VOILUTFunction").upper() or "LINEAR"
    pairs = zip(centers or (), widths or (), strict=False)
    return tuple(Window(center=center, width=width, function=function) for center, width in pairs)


def _order(reader: AttributeReader) -> dict[str, Any]:
    direction = reader.numbers_or_none("DiffusionGradientOrientation")
    temporal = reader.integer_or_none("TemporalPositionIndex")
    if temporal is None:
        temporal = reader.integer_or_none("TemporalPositionIdentifier")
    return {
        "instance_number": reader.integer_or_none("InstanceNumber"),
        "acquisition_number": reader.integer_or_none("AcquisitionNumber"),
        "temporal_position": temporal,
        "trigger_time_ms": reader.number_or_none("TriggerTime"),
        "frame_reference_time_ms": reader.number_or_none("FrameReferenceTime"),
        "acquisition_datetime": reader.acquisition_datetime(),
        "echo_number": reader.integer_or_none("EchoNumbers"),
        "echo_time_ms": reader.number_or_none("EchoTime"),
        "b_value": reader.number_or_none("DiffusionBValue"),
        "gradient_direction": direction if direction is not None and len(direction) == 3 else None,
        "stack_id": reader.text("StackID"),
        "coil_element": reader.coil_element(),
    }
