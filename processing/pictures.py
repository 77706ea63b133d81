"""Pictures of single frames: windowed, in true proportions, as stored (not turned)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from processing.attributes import AttributeReader
from processing.contact_sheet import volume_presentation
from processing.errors import PixelError
from processing.pixels import decode_frame
from processing.png import encode_png
from processing.presentation import modality_values, read_presentation
from processing.reslice import Plane, true_picture
from processing.windowing import Presentation, display_values, first_valid_window, header_presentation

if TYPE_CHECKING:
    import pydicom
    from numpy.typing import NDArray

    from processing.frames import FrameHeader
    from processing.volume import Volume

_LARGEST_RATIO = 20.0  # of the sides of a pixel; beyond it the header cannot be meant so


def encode_frame_picture(dataset: pydicom.Dataset, header: FrameHeader, *, frame: int = 0) -> bytes:
    """Return one monochrome frame of an instance as a PNG file, 8 bits of grey.

    Raises
    ------
    PixelError
        If the frame is not monochrome, or its pixel data cannot be decoded to what the header describes.
    """
    if header.photometric_interpretation not in {"", "MONOCHROME1", "MONOCHROME2"}:
        raise PixelError(
            "Pictures are made of monochrome frames only.", sop_instance_uids=(header.sop_instance_uid,)
        )
    stored = decode_frame(dataset, header, frame=frame)
    values = modality_values(stored, dataset, header, frame=frame)
    presentation = read_presentation(dataset, header, frame=frame)
    row_spacing, column_spacing = pixel_proportions(dataset, header)
    return encode_picture(values, presentation, row_spacing=row_spacing, column_spacing=column_spacing)


def encode_slice_picture(volume: Volume, index: int) -> bytes:
    """Return one slice of a volume as a PNG file: with its own window, else with the whole volume's."""
    header = volume.plan.headers[index]
    presentation = header_presentation(header)
    if first_valid_window(header.windows) is None:
        presentation = volume_presentation(volume)
    steps = np.linalg.norm(volume.affine_lps[:3, :2], axis=0)
    return encode_picture(
        volume.modality_plane(index),
        presentation,
        row_spacing=float(steps[1]),
        column_spacing=float(steps[0]),
    )


def encode_picture(
    values: NDArray[Any], presentation: Presentation, *, row_spacing: float = 1.0, column_spacing: float = 1.0
) -> bytes:
    """Return modality values as a PNG file, 8 bits of grey.

    Parameters
    ----------
    values
        (rows, columns) modality values.
    presentation
        Their window or table, and whether they are inverted.
    row_spacing, column_spacing
        Only their ratio counts. The finer direction keeps its pixels; the coarser one is interpolated.
    """
    shown = display_values(values, presentation)
    plane = Plane(
        values=values, row_spacing_mm=row_spacing, column_spacing_mm=column_spacing, row_shift_mm=0.0
    )
    return encode_png(true_picture(shown, plane, pixel_mm=min(row_spacing, column_spacing)))


def pixel_proportions(dataset: pydicom.Dataset, header: FrameHeader) -> tuple[float, float]:
    """Return the distances of neighbouring rows and columns in a unit of their own; (1, 1) where nothing usable tells.

    Source
    ------
    PS3.3 10.7.1.3 for the spacings, rows first; C.7.6.3.1.7 for Pixel Aspect Ratio, vertical first.
    """
    reader = AttributeReader(dataset)
    candidates = (
        (header.row_spacing_mm, header.column_spacing_mm),
        *(reader.numbers_or_none(name) for name in ("ImagerPixelSpacing", "NominalScannedPixelSpacing")),
        reader.numbers_or_none("PixelAspectRatio"),
    )
    for candidate in candidates:
        match candidate:
            case (float(row), float(column)) if 0 < row <= _LARGEST_RATIO * column <= _LARGEST_RATIO**2 * row:
                return row, column
    return 1.0, 1.0
