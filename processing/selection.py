"""Which instances can be a slice of a volume at all, by their headers alone, and why the others cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from processing.findings import Finding, FindingCode
from processing.geometry import orthonormality_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from processing.frames import FrameHeader

SINGLE_FRAME_CLASSES = frozenset({CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage})
ENHANCED_CLASSES = frozenset({
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedMRColorImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
})  # fmt: skip
LARGEST_COSINE_ERROR = 1e-3

Reason = tuple[FindingCode, str]


def select_slices(headers: Iterable[FrameHeader]) -> tuple[list[FrameHeader], list[Finding]]:
    """Return the headers that can be slices, sorted by SOP Instance UID, and findings that name the others."""
    unique, duplicates = _drop_duplicates(headers)
    usable: list[FrameHeader] = []
    left_out: dict[Reason, list[str]] = {}
    for header in unique:
        reason = left_out_reason(header)
        if reason is None:
            usable.append(header)
        else:
            left_out.setdefault(reason, []).append(header.sop_instance_uid)
    findings = [
        Finding(code=code, message=message, sop_instance_uids=tuple(uids))
        for (code, message), uids in sorted(left_out.items())
    ]
    return usable, [*duplicates, *findings]


def _drop_duplicates(headers: Iterable[FrameHeader]) -> tuple[list[FrameHeader], list[Finding]]:
    same_uid: dict[str, list[FrameHeader]] = {}
    for header in headers:
        same_uid.setdefault(header.sop_instance_uid, []).append(header)
    repeated = tuple(sorted(uid for uid, members in same_uid.items() if len(members) > 1))
    # repr gives headers of one UID a total order, so that it does not matter which of them came first.
    unique = [members[0] if len(members) == 1 else min(members, key=repr) for members in same_uid.values()]
    findings = []
    if repeated:
        message = "The same SOP Instance UID came more than once; one of them is used."
        findings.append(
            Finding(code=FindingCode.DUPLICATE_INSTANCE, message=message, sop_instance_uids=repeated)
        )
    return sorted(unique, key=lambda header: header.sop_instance_uid), findings


def left_out_reason(header: FrameHeader) -> Reason | None:
    """Return why an instance can be no slice, or None if it can."""
    for check in _CHECKS:
        reason = check(header)
        if reason is not None:
            return reason
    return None


def _check_class(header: FrameHeader) -> Reason | None:
    if header.sop_class_uid in ENHANCED_CLASSES:
        return FindingCode.NOT_SUPPORTED, "Not assembled yet: enhanced multi-frame."
    if header.sop_class_uid in SINGLE_FRAME_CLASSES:
        return None
    if not header.has_pixel_data:
        return FindingCode.NO_PIXEL_DATA, "No pixel data: no image."
    name = UID(header.sop_class_uid).name if header.sop_class_uid else "without SOP Class UID"
    return FindingCode.NOT_SUPPORTED, f"Not assembled into volumes: {name}."


def _check_frames(header: FrameHeader) -> Reason | None:
    if not header.has_pixel_data:
        return FindingCode.NO_PIXEL_DATA, "No pixel data: no image."
    if header.tile_count > 1:
        return FindingCode.TILED, "Not assembled yet: one frame holds several slices as tiles (a mosaic)."
    if header.number_of_frames != 1:
        return FindingCode.NOT_SUPPORTED, "Not assembled yet: several frames in one instance."
    return None


def _check_samples(header: FrameHeader) -> Reason | None:
    monochrome = header.photometric_interpretation.startswith("MONOCHROME")
    if header.samples_per_pixel not in {None, 1} or (header.photometric_interpretation and not monochrome):
        return FindingCode.COLOUR, "Not assembled yet: colour."
    if header.has_modality_lut:
        return FindingCode.NOT_SUPPORTED, "Not assembled yet: a Modality LUT Sequence in place of a rescale."
    if header.rescale_slope == 0.0:
        return FindingCode.BAD_HEADER, "Rescale Slope is 0: it would make all values the same."
    return None


def _check_matrix(header: FrameHeader) -> Reason | None:
    needed: Sequence[tuple[str, int | None]] = (
        ("Rows", header.rows),
        ("Columns", header.columns),
        ("Bits Allocated", header.bits_allocated),
    )
    for name, value in needed:
        if value is None or value <= 0:
            return FindingCode.BAD_HEADER, f"{name} is missing or not positive."
    return None


def _check_plane(header: FrameHeader) -> Reason | None:
    if header.position_lps is None:
        return FindingCode.NO_GEOMETRY, "Image Position (Patient) is missing: any place would be a guess."
    if header.orientation_lps is None:
        return (
            FindingCode.NO_GEOMETRY,
            "Image Orientation (Patient) is missing: any direction would be a guess.",
        )
    spacings = header.row_spacing_mm, header.column_spacing_mm
    if any(spacing is None or spacing <= 0 for spacing in spacings):
        return FindingCode.NO_GEOMETRY, "Pixel Spacing is missing or not positive: any size would be a guess."
    if orthonormality_error(header.orientation_lps) > LARGEST_COSINE_ERROR:
        return FindingCode.BAD_ORIENTATION, "The cosines of Image Orientation (Patient) are not orthonormal."
    return None


_CHECKS: tuple[Callable[[FrameHeader], Reason | None], ...] = (
    _check_class,
    _check_frames,
    _check_samples,
    _check_matrix,
    _check_plane,
)
