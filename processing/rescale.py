"""Stored values to the values of a volume: exact integers where they are, floating point where they must be.

The type follows from all slices, never from the first. What the headers give every slice alike stays with the
volume as its scale; what differs from slice to slice is applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from processing.frames import FrameHeader

Values = NDArray[np.generic]

_STORED_TYPES = tuple(np.dtype(name) for name in ("uint8", "int16", "uint16", "int32", "uint32", "int64"))
_VALUE_TYPES = tuple(np.dtype(name) for name in ("int16", "uint16", "int32"))


def stored_dtype(headers: Sequence[FrameHeader]) -> np.dtype[Any]:
    """Return the narrowest integer type that holds every stored value the headers allow.

    Slices may differ in Bits Stored and in sign.
    """
    ranges = [_stored_range(header) for header in headers]
    lowest, highest = min(low for low, _ in ranges), max(high for _, high in ranges)
    return next(dtype for dtype in _STORED_TYPES if _fits(lowest, highest, dtype))


def _stored_range(header: FrameHeader) -> tuple[int, int]:
    bits = header.bits_stored or header.bits_allocated or 16
    if header.pixel_representation == 1:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _fits(lowest: float, highest: float, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return limits.min <= lowest and highest <= limits.max


def settle_values(stored: Values, headers: Sequence[FrameHeader]) -> tuple[Values, float, float]:
    """Return a volume's values with the slope and intercept that are still to be applied.

    Parameters
    ----------
    stored
        (slices, rows, columns) stored values; may be changed in place.
    headers
        One for each slice.

    Returns
    -------
    tuple
        - the stored values, 1 and 0, where nothing rescales them;
        - modality values as int16 or uint16, 1 and 0, where all slices have slope 1 and the same whole
          intercept and the values fit (CT in Hounsfield units);
        - the stored values with their slope and intercept, where these are the same for all slices;
        - modality values, 1 and 0, where they differ: the narrowest of int16, uint16 and int32 if every one
          is whole, else float32.

    Source
    ------
    PS3.3 C.11.1.1: output units = slope x stored value + intercept.
    """
    scales = {(header.rescale_slope, header.rescale_intercept) for header in headers}
    if len(scales) > 1:
        return _apply_each(stored, headers), 1.0, 0.0
    ((slope, intercept),) = scales
    narrow = _narrow(stored)
    if slope != 1.0 or not intercept.is_integer():
        return narrow, slope, intercept
    if intercept == 0.0:
        return narrow, 1.0, 0.0
    lowest, highest = int(stored.min()) + int(intercept), int(stored.max()) + int(intercept)
    dtype = _first_fit(lowest, highest, _VALUE_TYPES[:2])
    if dtype is None:
        return narrow, slope, intercept
    return _shift(stored, int(intercept), dtype), 1.0, 0.0


def _first_fit(
    lowest: float, highest: float, dtypes: Iterable[np.dtype[Any]] = _VALUE_TYPES
) -> np.dtype[Any] | None:
    return next((dtype for dtype in dtypes if _fits(lowest, highest, dtype)), None)


def _narrow(stored: Values) -> Values:
    # int16 wherever the values allow: more readers take it than uint16. Bytes stay bytes.
    if stored.dtype.itemsize == 1:
        return stored
    dtype = _first_fit(int(stored.min()), int(stored.max()))
    return stored if dtype is None else stored.astype(dtype, copy=False)


def _shift(stored: Values, intercept: int, dtype: np.dtype[Any]) -> Values:
    values = np.empty(stored.shape, dtype=dtype)
    for index, plane in enumerate(stored):
        values[index] = plane.astype(np.int64) + intercept
    return values


def _apply_each(stored: Values, headers: Sequence[FrameHeader]) -> Values:
    dtype = _whole_dtype(stored, headers) or np.dtype(np.float32)
    values = np.empty(stored.shape, dtype=dtype)
    for index, header in enumerate(headers):
        values[index] = _modality_plane(stored[index], header)
    return values


def _modality_plane(plane: Values, header: FrameHeader) -> NDArray[np.float64]:
    return plane.astype(np.float64) * header.rescale_slope + header.rescale_intercept


def _whole_dtype(stored: Values, headers: Sequence[FrameHeader]) -> np.dtype[Any] | None:
    """Return the narrowest integer type for modality values that are all whole, or None if one is not."""
    lowest, highest = np.inf, -np.inf
    for plane, header in zip(stored, headers, strict=True):
        values = _modality_plane(plane, header)
        if not np.array_equal(values, np.rint(values)):
            return None
        lowest, highest = min(lowest, values.min()), max(highest, values.max())
    return _first_fit(lowest, highest)
