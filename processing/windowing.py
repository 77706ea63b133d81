"""Modality values to display values: the VOI transformation, then the presentation.

The order is the standard's: modality LUT (before this module), VOI LUT or window, and only then the inversion
that MONOCHROME1 asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from processing.frames import FrameHeader, Window

if TYPE_CHECKING:
    from collections.abc import Iterable

Floats = NDArray[np.float64]
Picture = NDArray[np.uint8]

WHITE = 255
FALLBACK_PERCENTILES = (0.5, 99.5)
_LARGEST_EXPONENT = 60.0  # e to the 60 is far beyond what one grey level can show
_LARGEST = 1e38  # differences of such numbers are still numbers
_IDENTITY_OF_BYTES = Window(center=128.0, width=256.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LookupTable:
    """One item of a VOI LUT Sequence or Modality LUT Sequence (PS3.3 C.11.1.1, C.11.2.1.1)."""

    first_mapped: int
    """The input value of the first entry; smaller values take that entry too."""
    bits: int
    """Bits of an entry: the output range is 0 to 2 ** bits - 1."""
    entries: NDArray[np.uint16]

    def look_up(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Return the entry of each value; values beyond the ends take the first or last one."""
        places = np.clip(np.rint(values) - self.first_mapped, 0, len(self.entries) - 1)
        found: NDArray[np.uint16] = self.entries[places.astype(np.intp)]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How modality values are to be shown."""

    voi: Window | LookupTable | None = None
    """None: a window is made from the values themselves."""
    inverted: bool = False
    """Whether the smallest value is white."""
    padding: tuple[float, float] | None = None
    """Smallest and largest modality value that stand for no image at all."""


def header_presentation(header: FrameHeader) -> Presentation:
    """Return how a frame is to be shown, as far as its header value tells (it keeps no VOI LUT Sequence)."""
    voi = first_valid_window(header.windows)
    if voi is None and header.bits_allocated == 8 and not header.has_rescale and not header.has_modality_lut:
        voi = _IDENTITY_OF_BYTES  # bytes without a window are made to be shown as they are
    return Presentation(voi=voi, inverted=is_inverted(header), padding=_padding(header))


def first_valid_window(windows: Iterable[Window]) -> Window | None:
    """Return the first window that the standard allows, or None.

    Source
    ------
    PS3.3 C.11.2.1.2: the width is at least 1 for LINEAR and above 0 for the other functions; several windows
    are alternatives, of which one is applied.
    """
    return next((window for window in windows if _is_valid(window)), None)


def _is_valid(window: Window) -> bool:
    if not np.isfinite([window.center, window.width]).all():
        return False
    if window.function == "LINEAR":
        return window.width >= 1
    return window.function in {"LINEAR_EXACT", "SIGMOID"} and window.width > 0


def is_inverted(header: FrameHeader) -> bool:
    """Whether the smallest value is white.

    Source
    ------
    PS3.3 C.7.6.3 and C.8.11.3: Presentation LUT Shape shall be INVERSE for MONOCHROME1 and IDENTITY for
    MONOCHROME2, so both together invert once. Where they contradict each other the shape decides, because it
    describes the output of all transformations.
    """
    if header.presentation_lut_shape in {"IDENTITY", "INVERSE"}:
        return header.presentation_lut_shape == "INVERSE"
    return header.photometric_interpretation == "MONOCHROME1"


def _padding(header: FrameHeader) -> tuple[float, float] | None:
    """Return the padding values after the rescale, smallest first (PS3.3 C.7.5.1.1.2)."""
    if header.pixel_padding_value is None or header.has_modality_lut:
        return None
    limit = header.pixel_padding_range_limit
    stored = (header.pixel_padding_value, header.pixel_padding_value if limit is None else limit)
    low, high = sorted(value * header.rescale_slope + header.rescale_intercept for value in stored)
    return low, high


def display_values(modality_values: NDArray[Any], presentation: Presentation) -> Picture:
    """Return values as grey levels, 0 black to 255 white.

    Parameters
    ----------
    modality_values
        Of any shape; integers or floating point. What is no number is shown as the smallest value.
    presentation
        Its VOI is applied; without one, a window from the 0.5th to the 99.5th percentile.

    Returns
    -------
    ndarray
        uint8, of the same shape.

    Source
    ------
    PS3.3 C.11.2 for the VOI, C.11.6 for the presentation.
    """
    voi = presentation.voi or fallback_window(modality_values, presentation.padding)
    shares = (
        _table_shares(modality_values, voi)
        if isinstance(voi, LookupTable)
        else _window_shares(modality_values, voi)
    )
    if presentation.inverted:
        shares = 1.0 - shares
    return np.floor(shares * WHITE + 0.5).astype(np.uint8)


def _table_shares(modality_values: NDArray[Any], table: LookupTable) -> Floats:
    largest = float((1 << table.bits) - 1)
    return np.minimum(table.look_up(_numbers(modality_values)) / largest, 1.0)


def _window_shares(modality_values: NDArray[Any], window: Window) -> Floats:
    """Return the window function's output as shares of the output range, 0 to 1.

    Source
    ------
    PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT).
    """
    values = _numbers(modality_values)
    center, width = window.center, window.width
    with np.errstate(over="ignore"):  # beyond the largest float is beyond the window
        if window.function == "SIGMOID":
            exponent = np.clip(-4.0 * ((values - center) / width), -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
            return np.asarray(1.0 / (1.0 + np.exp(exponent)))
        if window.function == "LINEAR":
            center, width = center - 0.5, width - 1.0
        if width == 0.0:  # LINEAR of width 1: a threshold
            return (values > center).astype(np.float64)
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _numbers(values: NDArray[Any]) -> Floats:
    numbers: Floats = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=-_LARGEST)
    return np.clip(numbers, -_LARGEST, _LARGEST)


def fallback_window(modality_values: NDArray[Any], padding: tuple[float, float] | None = None) -> Window:
    """Return a window that shows what is there: the 0.5th to the 99.5th percentile of the values.

    Parameters
    ----------
    modality_values
        Of any shape.
    padding
        Values from the first to the second of these are not counted, unless all are such values.

    Returns
    -------
    Window
        LINEAR_EXACT, from the lower percentile (black) to the higher one (white); from the smallest to the
        largest value where the percentiles coincide; all black where all values are the same.
    """
    values = _numbers(modality_values[np.isfinite(modality_values)])
    if padding is not None:
        unpadded = values[(values < padding[0]) | (values > padding[1])]
        values = unpadded if unpadded.size else values
    if not values.size:
        return Window(center=0.0, width=1.0, function="LINEAR_EXACT")
    low, high = np.percentile(values, FALLBACK_PERCENTILES)
    if low == high:
        low, high = values.min(), values.max()
    width = float(high - low) or 1.0
    return Window(center=float(low) + width / 2, width=width, function="LINEAR_EXACT")
