"""Planes of a volume as a reader of pictures expects them: the patient upright, true proportions.

Axes are permuted and turned to the nearest axes of the patient, never resampled: an oblique volume is shown in
its own planes. A sheared volume (a tilted gantry) is set upright again, plane by plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]
Picture = NDArray[np.uint8]

_DISPLAY_AXES_LPS = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Head to feet, anterior to posterior, right to left: the directions in which display indices grow."""
_SMALLEST_SHEAR = 0.005  # of the step: less than two pixels over 400 slices
LARGEST_SIDE = 16384


class View(StrEnum):
    """From where a plane is looked at, by radiological convention.

    Axial and coronal pictures have the patient's right side on the left, sagittal ones the front; the front
    or the head is at the top.
    """

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


_AXES = {View.AXIAL: (0, 1, 2), View.CORONAL: (1, 0, 2), View.SAGITTAL: (2, 0, 1)}
"""The display axis that a view looks along, then those of its rows (downwards) and columns (to the right)."""

EDGE_LETTERS = {
    View.AXIAL: ("R", "L", "A", "P"),
    View.CORONAL: ("R", "L", "H", "F"),
    View.SAGITTAL: ("A", "P", "H", "F"),
}
"""What lies at the left, right, upper and lower edge (PS3.3 C.7.6.1.1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """A plane of a volume with the geometry that a true picture needs."""

    values: NDArray[Any]
    """(rows, columns), a view of the volume's values."""
    row_spacing_mm: float
    """Distance of neighbouring rows, measured across them."""
    column_spacing_mm: float
    row_shift_mm: float
    """How far each row lies to the right of the one above; 0 unless the volume is sheared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UprightVolume:
    """A volume with its axes turned to the patient's."""

    values: NDArray[Any]
    """Indices grow from head to feet, from anterior to posterior, from right to left; a view."""
    steps_lps: Floats
    """(3, 3): one row for each axis, the step to the next voxel in LPS millimetres."""

    def count(self, view: View) -> int:
        """Return how many planes there are to look at."""
        return int(self.values.shape[_AXES[view][0]])

    def is_visible(self, view: View) -> bool:
        """Whether planes of the view have an area: more than one voxel in both directions."""
        _, rows, columns = _AXES[view]
        return bool(min(self.values.shape[rows], self.values.shape[columns]) > 1)

    def plane(self, view: View, index: int) -> Plane:
        """Return one plane; index 0 is the one nearest to the head, the front or the right side."""
        along, rows, columns = _AXES[view]
        down, right = self.steps_lps[rows], self.steps_lps[columns]
        column_spacing_mm = float(np.linalg.norm(right))
        shift_mm = float(down @ right) / column_spacing_mm
        length_mm = float(np.linalg.norm(down))
        if abs(shift_mm) < _SMALLEST_SHEAR * length_mm:
            shift_mm = 0.0
        return Plane(
            values=self.values[(slice(None),) * along + (index,)],
            row_spacing_mm=float(np.sqrt(length_mm**2 - shift_mm**2)),
            column_spacing_mm=column_spacing_mm,
            row_shift_mm=shift_mm,
        )


def turn_upright(values: NDArray[Any], affine_lps: Floats) -> UprightVolume:
    """Return a volume with each axis turned to the nearest one of the patient; nothing is copied.

    Parameters
    ----------
    values
        (slices, rows, columns)
    affine_lps
        4 x 4, from (column index, row index, slice index, 1) to LPS millimetres.
    """
    steps = np.asarray(affine_lps, dtype=np.float64)[:3, 2::-1].T  # one row each for slices, rows, columns
    directions = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    along = _DISPLAY_AXES_LPS @ directions.T  # (display axis, array axis)
    order = max(
        permutations(range(3)), key=lambda axes: round(sum(abs(along[d, a]) for d, a in enumerate(axes)), 9)
    )
    turned, turned_steps = np.transpose(values, order), steps[list(order)]
    backwards = [along[display, axis] < 0 for display, axis in enumerate(order)]
    flips = tuple(slice(None, None, -1 if back else 1) for back in backwards)
    return UprightVolume(
        values=turned[flips], steps_lps=np.where(np.array(backwards)[:, None], -turned_steps, turned_steps)
    )


def spread_indices(count: int, wanted: int) -> tuple[int, ...]:
    """Return up to `wanted` different indices below `count`, evenly spaced and not at the ends if it can be helped."""
    parts = min(count, wanted)
    return tuple((part + 1) * count // (parts + 1) for part in range(parts))


def true_picture(picture: Picture, plane: Plane, *, pixel_mm: float) -> Picture:
    """Return display values of a plane on square pixels: shear undone, both directions to scale.

    Parameters
    ----------
    picture
        (rows, columns) or (rows, columns, 3) display values of the plane.
    plane
        Tells the spacings and the shear.
    pixel_mm
        Side of a pixel of the result; enlarged if a side would have more than 16384 pixels.

    Returns
    -------
    ndarray
        uint8, at least 1 x 1; linear interpolation, averaging where it gets smaller. Black beside a sheared plane.
    """
    image = Image.fromarray(np.ascontiguousarray(picture))
    if plane.row_shift_mm:
        image = _unsheared(image, plane.row_shift_mm / plane.column_spacing_mm)
    width_mm, height_mm = image.width * plane.column_spacing_mm, image.height * plane.row_spacing_mm
    pixel_mm = max(pixel_mm, max(width_mm, height_mm) / LARGEST_SIDE)
    size = (max(1, round(width_mm / pixel_mm)), max(1, round(height_mm / pixel_mm)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image)


def _unsheared(image: Image.Image, shift: float) -> Image.Image:
    """Return an image with each row moved to the right of the one above by `shift` columns."""
    whole = abs(shift) * (image.height - 1)
    offset = whole if shift < 0 else 0.0
    size = (image.width + int(np.ceil(whole)), image.height)
    # Pillow asks for the way back, from places of the result to places of the image, pixel centres at 0.5.
    coefficients = (1.0, -shift, 0.5 * shift - offset, 0.0, 1.0, 0.0)
    return image.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)


def picture_size_mm(plane: Plane) -> tuple[float, float]:
    """Return width and height of a plane's true picture in mm, with the room that a shear takes."""
    rows, columns = plane.values.shape[:2]
    width_mm = columns * plane.column_spacing_mm + abs(plane.row_shift_mm) * (rows - 1)
    return width_mm, rows * plane.row_spacing_mm
