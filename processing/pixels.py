"""One frame's pixel data to stored values: what the bits of each pixel cell say, before any rescale."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from processing.codecs import decode_compressed, is_supported
from processing.errors import PixelError

if TYPE_CHECKING:
    import pydicom

    from processing.frames import FrameHeader

StoredValues = NDArray[np.integer[Any]]

NATIVE_SYNTAXES = frozenset({
    "",  # without file meta information: the default transfer syntax (PS3.5 10.1)
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
})  # fmt: skip
BITS_ALLOCATED = frozenset({8, 16, 32})


def decode_frame(dataset: pydicom.Dataset, header: FrameHeader, *, frame: int = 0) -> StoredValues:
    """Return the stored values of one monochrome frame.

    Parameters
    ----------
    dataset
        Holds Pixel Data.
    header
        Its header; it describes the pixels and the transfer syntax.
    frame
        Which frame, from 0.

    Returns
    -------
    ndarray
        (rows, columns), native byte order; as wide as Bits Allocated, signed by Pixel Representation. Bits
        outside Bits Stored (old overlays) are gone and the sign is extended.

    Raises
    ------
    PixelError
        If the pixel data is not what the header describes; it names the instance.

    Source
    ------
    PS3.5 8.1.1 and 8.2, PS3.3 C.7.6.3.
    """
    try:
        return _decode(dataset, header, frame)
    except PixelError as error:
        error.sop_instance_uids = (header.sop_instance_uid,)
        error.hint = error.hint or "send the instance again from its source"
        raise


def _decode(dataset: pydicom.Dataset, header: FrameHeader, frame: int) -> StoredValues:
    _check_description(header)
    data = dataset.get("PixelData")
    if not isinstance(data, bytes):
        raise PixelError("The instance has no Pixel Data.")
    if header.transfer_syntax_uid in NATIVE_SYNTAXES:
        return _settle_bits(_native_cells(dataset, data, header, frame), header)
    if not is_supported(header.transfer_syntax_uid):
        raise PixelError(f"The transfer syntax {header.transfer_syntax_uid} is not decoded.")
    cells = decode_compressed(
        _encapsulated_frame(data, header, frame),
        header.transfer_syntax_uid,
        rows=header.rows or 0,
        columns=header.columns or 0,
        bits_allocated=header.bits_allocated or 0,
    )
    return _settle_bits(cells, header)


def _bits_stored(header: FrameHeader) -> int:
    return header.bits_allocated or 0 if header.bits_stored is None else header.bits_stored


def _check_description(header: FrameHeader) -> None:
    allocated, stored = header.bits_allocated, _bits_stored(header)
    high = stored - 1 if header.high_bit is None else header.high_bit
    if allocated not in BITS_ALLOCATED:
        raise PixelError(f"Bits Allocated is {allocated}; 8, 16 and 32 are decoded.")
    if not 1 <= stored <= high + 1 <= allocated:
        raise PixelError(f"Bits Stored {stored}, High Bit {high} and Bits Allocated {allocated} do not fit.")
    if header.samples_per_pixel not in {None, 1}:
        raise PixelError(f"Samples per Pixel is {header.samples_per_pixel}; 1 is decoded.")
    if not header.rows or not header.columns or min(header.rows, header.columns) < 0:
        raise PixelError(f"Rows and Columns are {header.rows} and {header.columns}.")


def _native_cells(
    dataset: pydicom.Dataset, data: bytes, header: FrameHeader, frame: int
) -> NDArray[np.unsignedinteger[Any]]:
    rows, columns, cell_bytes = header.rows or 0, header.columns or 0, (header.bits_allocated or 0) // 8
    frame_bytes = rows * columns * cell_bytes
    if len(data) < (frame + 1) * frame_bytes:
        raise PixelError(
            f"Pixel Data has {len(data)} bytes; frame {frame} ends at {(frame + 1) * frame_bytes}."
        )
    big_endian = header.transfer_syntax_uid == ExplicitVRBigEndian
    if big_endian and cell_bytes == 1 and dataset["PixelData"].VR == "OW":
        data = np.frombuffer(data[: len(data) // 2 * 2], dtype=">u2").astype("<u2").tobytes()
    dtype = np.dtype(f"{'>' if big_endian else '<'}u{cell_bytes}")
    cells = np.frombuffer(data, dtype=dtype, count=rows * columns, offset=frame * frame_bytes)
    return cells.reshape(rows, columns).astype(dtype.newbyteorder("="))


def _encapsulated_frame(data: bytes, header: FrameHeader, frame: int) -> bytes:
    try:
        frames = generate_frames(data, number_of_frames=header.number_of_frames)
        for index, content in enumerate(frames):
            if index == frame:
                return content
    except (ValueError, EOFError, IndexError, struct.error) as error:
        raise PixelError("The items of the encapsulated pixel data cannot be followed.") from error
    raise PixelError(f"The encapsulated pixel data has no frame {frame}.")


def _settle_bits(cells: NDArray[np.unsignedinteger[Any]], header: FrameHeader) -> StoredValues:
    """Return cells with the stored bits moved to the lowest place, the others removed and the sign extended."""
    allocated, stored = header.bits_allocated or 0, _bits_stored(header)
    high = stored - 1
    if header.transfer_syntax_uid in NATIVE_SYNTAXES and header.high_bit is not None:
        high = _true_high_bit(
            cells, header.high_bit, stored
        )  # a codestream's samples have no high bit of their own
    if stored < allocated:  # to the top of the cell and back: arithmetic for signed cells, logical for others
        cells = np.left_shift(cells, allocated - 1 - high)
    values: StoredValues = cells.view(f"i{allocated // 8}") if header.pixel_representation == 1 else cells
    return np.right_shift(values, allocated - stored) if stored < allocated else values


def _true_high_bit(cells: NDArray[np.unsignedinteger[Any]], high: int, stored: int) -> int:
    """Return High Bit, or the lowest it can be where the cells show that it is not what the header says.

    Some devices write High Bit 15 for 12 bits at the bottom of their cells: nothing lies above bit 11 there, and
    the bits below those that the header claims are in use.
    """
    below = (1 << (high + 1 - stored)) - 1
    is_wrong = below and int(cells.max()) < 1 << stored and bool(np.any(cells & below))
    return stored - 1 if is_wrong else high
