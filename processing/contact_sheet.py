"""A contact sheet: one picture that shows a volume from above, from the front and from the side.

Several evenly spaced planes of each view in true proportions, upright, on black; the letters of the patient's
sides at the edges and no other text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from processing.letters import HEIGHT, WIDTH, letter_pixels
from processing.png import encode_png
from processing.reslice import (
    EDGE_LETTERS,
    Plane,
    UprightVolume,
    View,
    picture_size_mm,
    spread_indices,
    true_picture,
    turn_upright,
)
from processing.windowing import Presentation, display_values, fallback_window, header_presentation

if TYPE_CHECKING:
    from processing.volume import Volume

Picture = NDArray[np.uint8]

PLANES_A_VIEW = 5
SHEET_WIDTH = 1400
LARGEST_PICTURE = 512
_MARGIN = 14  # around each picture, for its letters
_INK = 176
_SAMPLED_SIDE = 64  # so many voxels along each axis at most make the fallback window


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One view's planes, and how large a pixel of their pictures is."""

    view: View
    planes: tuple[Plane, ...]
    pixel_mm: float
    cell: tuple[int, int]
    """(height, width) of a picture with its margin."""


def encode_contact_sheet(volume: Volume) -> bytes:
    """Return a volume's contact sheet as the bytes of a PNG file, the same bytes for the same volume."""
    return encode_png(draw_contact_sheet(volume))


def draw_contact_sheet(volume: Volume) -> Picture:
    """Return a volume's contact sheet.

    The window is the one that the middle slice asks for, else one made from the whole volume. Views whose planes
    would be lines are left out, so a single slice is one picture.

    Returns
    -------
    ndarray
        uint8, (rows, columns), at most 1400 columns.
    """
    presentation = volume_presentation(volume)
    upright = turn_upright(volume.values, volume.affine_lps)
    rows = _layout(upright)
    height = sum(row.cell[0] for row in rows)
    width = max(row.cell[1] * len(row.planes) for row in rows)
    sheet = np.zeros((height, width), dtype=np.uint8)
    top = 0
    for row in rows:
        for column, plane in enumerate(row.planes):
            shown = display_values(_modality_values(volume, plane.values), presentation)
            picture = true_picture(shown, plane, pixel_mm=row.pixel_mm)
            _place(sheet[top : top + row.cell[0]], column * row.cell[1], picture, row)
        top += row.cell[0]
    return sheet


def volume_presentation(volume: Volume) -> Presentation:
    """Return how all planes of a volume are to be shown: as its middle slice, always with a window."""
    presentation = header_presentation(volume.plan.headers[len(volume.plan.headers) // 2])
    if presentation.voi is not None:
        return presentation
    stride = tuple(-(-size // _SAMPLED_SIDE) for size in volume.values.shape)
    sample = _modality_values(volume, volume.values[tuple(slice(step // 2, None, step) for step in stride)])
    return replace(presentation, voi=fallback_window(sample, presentation.padding))


def _modality_values(volume: Volume, values: NDArray[Any]) -> NDArray[np.float64]:
    return values.astype(np.float64) * volume.scale_slope + volume.scale_intercept


def _layout(upright: UprightVolume) -> tuple[_Row, ...]:
    views = [view for view in View if upright.is_visible(view)] or [View.AXIAL]
    planes = {
        view: tuple(
            upright.plane(view, index) for index in spread_indices(upright.count(view), PLANES_A_VIEW)
        )
        for view in views
    }
    columns = max(len(of_view) for of_view in planes.values())
    room = min(LARGEST_PICTURE, SHEET_WIDTH // columns - 2 * _MARGIN)
    return tuple(_row(view, of_view, room) for view, of_view in planes.items())


def _row(view: View, planes: tuple[Plane, ...], room: int) -> _Row:
    width_mm, height_mm = picture_size_mm(planes[0])
    pixel_mm = max(width_mm, height_mm) / room
    height = max(1, round(height_mm / pixel_mm))
    return _Row(view=view, planes=planes, pixel_mm=pixel_mm, cell=(height + 2 * _MARGIN, room + 2 * _MARGIN))


def _place(band: Picture, left: int, picture: Picture, row: _Row) -> None:
    """Put one picture in the middle of its cell, with the letters of its edges around it."""
    height, width = picture.shape
    cell_height, cell_width = row.cell
    top, left = (cell_height - height) // 2, left + (cell_width - width) // 2
    band[top : top + height, left : left + width] = picture
    middle_row, middle_column = top + height // 2, left + width // 2
    half = _MARGIN // 2
    places = (
        (middle_row, left - half),
        (middle_row, left + width + half),
        (top - half, middle_column),
        (top + height + half, middle_column),
    )
    for letter, (center_row, center_column) in zip(EDGE_LETTERS[row.view], places, strict=True):
        first_row, first_column = center_row - HEIGHT // 2, center_column - WIDTH // 2
        box = band[first_row : first_row + HEIGHT, first_column : first_column + WIDTH]
        box[letter_pixels(letter)] = _INK
