"""How one frame is to be shown, read from its data set: modality LUT, VOI LUT, windows of functional groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian

from processing.attributes import AttributeReader, quiet_values
from processing.frames import FrameHeader, Window
from processing.windowing import LookupTable, Presentation, first_valid_window, header_presentation

if TYPE_CHECKING:
    import pydicom
    from numpy.typing import NDArray

_LARGEST_TABLE = 65536


def modality_values(
    stored_values: NDArray[Any], dataset: pydicom.Dataset, header: FrameHeader, *, frame: int = 0
) -> NDArray[Any]:
    """Return a frame's stored values after its modality LUT.

    Parameters
    ----------
    stored_values
        (rows, columns)
    dataset, header
        Of the instance. The frame's own rescale in its functional groups comes before the instance's, and a
        usable Modality LUT Sequence before both.
    frame
        Which frame, from 0.

    Returns
    -------
    ndarray
        As stored if nothing maps them; uint16 from a table; float64 from a rescale.

    Source
    ------
    PS3.3 C.11.1, C.7.6.16.2.9.
    """
    table = _first_table(dataset, header, "ModalityLUTSequence", signed=header.pixel_representation == 1)
    if table is not None:
        return table.look_up(stored_values)
    slope, intercept = _rescale(dataset, header, frame)
    if slope == 1.0 and intercept == 0.0:
        return stored_values
    return stored_values.astype(np.float64) * slope + intercept


def read_presentation(dataset: pydicom.Dataset, header: FrameHeader, *, frame: int = 0) -> Presentation:
    """Return how a frame is to be shown.

    A VOI LUT Sequence comes before windows, because it says in full what a window only approaches; among
    several of either kind the first usable one is taken. A frame's own windows come before the instance's.

    Source
    ------
    PS3.3 C.11.2, C.7.6.16.2.10.
    """
    slope, intercept = _rescale(dataset, header, frame)
    rescaled = replace(header, rescale_slope=slope, rescale_intercept=intercept)
    own_windows = _frame_windows(dataset, frame)
    presentation = header_presentation(replace(rescaled, windows=own_windows) if own_windows else rescaled)
    signed = header.pixel_representation == 1 or intercept < 0 or slope < 0
    table = _first_table(dataset, header, "VOILUTSequence", signed=signed and not header.has_modality_lut)
    return presentation if table is None else replace(presentation, voi=table)


def _rescale(dataset: pydicom.Dataset, header: FrameHeader, frame: int) -> tuple[float, float]:
    item = _group_item(dataset, "PixelValueTransformationSequence", frame)
    if item is None:
        return header.rescale_slope, header.rescale_intercept
    reader = AttributeReader(item)
    slope, intercept = reader.number_or_none("RescaleSlope"), reader.number_or_none("RescaleIntercept")
    return 1.0 if slope is None else slope, 0.0 if intercept is None else intercept


def _frame_windows(dataset: pydicom.Dataset, frame: int) -> tuple[Window, ...]:
    item = _group_item(dataset, "FrameVOILUTSequence", frame)
    if item is None:
        return ()
    reader = AttributeReader(item)
    function = reader.text("VOILUTFunction").upper() or "LINEAR"
    pairs = zip(
        reader.numbers_or_none("WindowCenter") or (),
        reader.numbers_or_none("WindowWidth") or (),
        strict=False,
    )
    windows = tuple(Window(center=center, width=width, function=function) for center, width in pairs)
    return windows if first_valid_window(windows) is not None else ()


def _group_item(dataset: pydicom.Dataset, keyword: str, frame: int) -> pydicom.Dataset | None:
    """Return a functional group of one frame: its own, or else the one that all frames share (PS3.3 C.7.6.16)."""
    own = _items(dataset, "PerFrameFunctionalGroupsSequence")[frame : frame + 1]
    for groups in (*own, *_items(dataset, "SharedFunctionalGroupsSequence")[:1]):
        for item in _items(groups, keyword)[:1]:
            return item
    return None


def _items(dataset: pydicom.Dataset, keyword: str) -> list[pydicom.Dataset]:
    value = dataset.get(keyword)
    return list(value) if isinstance(value, Sequence) else []


def _first_table(
    dataset: pydicom.Dataset, header: FrameHeader, keyword: str, *, signed: bool
) -> LookupTable | None:
    """Return the first usable lookup table of a sequence, or None."""
    big_endian = header.transfer_syntax_uid == ExplicitVRBigEndian
    with quiet_values():
        tables = (
            _read_table(item, signed=signed, big_endian=big_endian) for item in _items(dataset, keyword)
        )
        return next((table for table in tables if table is not None), None)


def _read_table(item: pydicom.Dataset, *, signed: bool, big_endian: bool) -> LookupTable | None:
    """Return one lookup table, or None where its descriptor and its data do not fit.

    Source
    ------
    PS3.3 C.11.1.1, C.11.2.1.1: 0 entries mean 65536; whether the first value mapped is signed follows from the
    values that come in, whatever VR it was sent with.
    """
    descriptor = AttributeReader(item).numbers_or_none("LUTDescriptor")
    if descriptor is None or len(descriptor) != 3 or any(value % 1 for value in descriptor):
        return None
    count, first_mapped, bits = (int(value) for value in descriptor)
    count = count % _LARGEST_TABLE or _LARGEST_TABLE
    if signed and first_mapped >= _LARGEST_TABLE // 2:
        first_mapped -= _LARGEST_TABLE
    entries = _read_entries(item, count, big_endian=big_endian)
    if entries is None or not 8 <= bits <= 16:
        return None
    return LookupTable(first_mapped=first_mapped, bits=bits, entries=entries)


def _read_entries(item: pydicom.Dataset, count: int, *, big_endian: bool) -> NDArray[np.uint16] | None:
    """Return the entries: a word each, or a byte each where there are only so many bytes; None if too few."""
    data = item.get("LUTData")
    if isinstance(data, bytes):  # sent as OW, which pydicom leaves as it was
        words = len(data) >= 2 * count
        if not words and len(data) < count:
            return None
        dtype = np.dtype(("<u2", ">u2")[big_endian] if words else "u1")
        return np.frombuffer(data, dtype=dtype, count=count).astype(np.uint16)
    if not isinstance(data, list | MultiValue) or len(data) < count:
        return None
    return np.asarray([int(value) & 0xFFFF for value in data[:count]], dtype=np.uint16)
