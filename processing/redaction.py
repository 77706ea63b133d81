"""Pixel data without what is not image: bits above the stored ones, bytes behind the last frame, comments in codestreams.

The stored values themselves never change, and nothing is encoded again: a lossless frame keeps its codestream, a lossy one
its losses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from processing.codecs import decode_compressed
from processing.codestream import clean_jpeg, clean_jpeg2000, clean_rle
from processing.errors import DeidentificationError, HeldError, PixelError
from processing.stream_header import read_stream_header

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
PIXEL_DATA = 0x7FE00010
EXTENDED_OFFSET_TABLES = frozenset({0x7FE00001, 0x7FE00002})

NATIVE = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
JPEG = frozenset(JPEGTransferSyntaxes)
JPEG_LS = frozenset(JPEGLSTransferSyntaxes)
JPEG_2000 = frozenset(JPEG2000TransferSyntaxes) | frozenset(
    f"1.2.840.10008.1.2.4.{code}" for code in (201, 202, 203)
)
SUPPORTED = NATIVE | JPEG | JPEG_LS | JPEG_2000 | {RLELossless}
"""The transfer syntaxes whose bytes are understood to the last one; video and newer codecs are not among them."""

_LARGEST_OFFSET = 2**32 - 1
_UNSIGNED = {8: "u1", 16: "u2", 32: "u4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """What the header says of the stored values (PS3.3 C.7.6.3, PS3.5 section 8.1.1)."""

    rows: int
    columns: int
    samples_per_pixel: int
    number_of_frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    subsampled: bool  # YBR_FULL_422 and its like, native: two samples for each pixel

    @property
    def samples(self) -> int:
        """The number of stored values in all frames."""
        per_pixel = 2 if self.subsampled else self.samples_per_pixel
        return self.rows * self.columns * per_pixel * self.number_of_frames

    @property
    def stored_bits(self) -> int:
        """The length of native pixel data in bits."""
        return self.samples * self.bits_allocated

    @property
    def has_unused_bits(self) -> bool:
        """Whether a stored value leaves bits of its cell unused."""
        return self.bits_stored < self.bits_allocated


def pixel_layout(dataset: Dataset) -> PixelLayout:
    """Return the layout of the stored values.

    Raises
    ------
    DeidentificationError
        If the header does not say it, or says what cannot be.
    """
    try:
        layout = PixelLayout(
            rows=int(dataset.Rows),
            columns=int(dataset.Columns),
            samples_per_pixel=int(dataset.get("SamplesPerPixel", 1)),
            number_of_frames=int(dataset.get("NumberOfFrames", 1) or 1),
            bits_allocated=int(dataset.BitsAllocated),
            bits_stored=int(dataset.get("BitsStored", dataset.BitsAllocated)),
            high_bit=int(dataset.get("HighBit", int(dataset.get("BitsStored", dataset.BitsAllocated)) - 1)),
            signed=int(dataset.get("PixelRepresentation", 0)) == 1,
            subsampled=str(dataset.get("PhotometricInterpretation", "")).endswith("_422"),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise DeidentificationError("the header does not describe its pixels") from error
    low_bit = layout.high_bit - layout.bits_stored + 1
    if layout.bits_stored < 1 or low_bit < 0 or layout.high_bit >= layout.bits_allocated:
        raise DeidentificationError("bits allocated, bits stored and high bit contradict each other")
    return layout


def clean_pixel_data(dataset: Dataset, value: bytes, transfer_syntax_uid: str) -> bytes:
    """Return the value of Pixel Data as it may leave.

    Parameters
    ----------
    dataset
        The data set that describes the pixels.
    value
        Pixel Data as it is encoded: native, or the items of its fragments.

    Raises
    ------
    DeidentificationError
        If the pixels are fewer than the header says, or a codestream cannot be followed.
    HeldError
        If bits that are no part of the image hold something and the frame would have to be encoded again to clear them.
    """
    layout = pixel_layout(dataset)
    if transfer_syntax_uid in NATIVE:
        return clean_native(value, layout, little_endian=transfer_syntax_uid != ExplicitVRBigEndian)
    frames = [_clean_frame(frame, layout, transfer_syntax_uid) for frame in _frames(dataset, value, layout)]
    cleaned = encapsulate(frames, has_bot=sum(map(len, frames)) + 8 * len(frames) < _LARGEST_OFFSET)
    if layout.has_unused_bits:
        for frame in frames:
            _check_unused_bits(frame, layout, transfer_syntax_uid)
    return cleaned


def clean_native(value: bytes, layout: PixelLayout, *, little_endian: bool = True) -> bytes:
    """Return native pixel data of the length the header asks for, with nothing in the bits above the stored ones.

    Signed values have their sign in the unused bits above, unsigned ones zeros: what readers make of them, with and
    without masking, is the stored value.
    """
    length = (layout.stored_bits + 7) // 8
    if not little_endian and layout.bits_allocated == 8:
        length += length % 2  # bytes in words of the other order: the last one stands in front of its padding
    if len(value) < length:
        raise DeidentificationError(f"there are {len(value)} bytes of pixels; the header says {length}")
    kept = value[:length]
    if layout.bits_allocated == 1:
        spare = -layout.stored_bits % 8
        kept = kept[:-1] + bytes((kept[-1] & (0xFF >> spare),)) if spare else kept
    elif layout.has_unused_bits:
        order = _dtype(layout, little_endian=little_endian)
        # numpy computes in the machine's byte order, whatever that of its operands
        kept = masked(np.frombuffer(kept, dtype=order), layout).astype(order).tobytes()
    return kept + bytes(len(kept) % 2)


def _dtype(layout: PixelLayout, *, little_endian: bool) -> np.dtype[Any]:
    if layout.bits_allocated not in _UNSIGNED:
        raise DeidentificationError(f"{layout.bits_allocated} bits allocated are not handled")
    return np.dtype(("<" if little_endian else ">") + _UNSIGNED[layout.bits_allocated])


def masked(stored: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Return unsigned cells with their stored bits only; a sign is carried into the unused bits above it."""
    low_bit = layout.high_bit - layout.bits_stored + 1
    mask = ((1 << layout.bits_stored) - 1) << low_bit
    kept: NDArray[Any] = stored & stored.dtype.type(mask)
    if layout.signed:
        full = (1 << layout.bits_allocated) - 1
        above = full & ~((1 << (layout.high_bit + 1)) - 1)
        negative = (kept & stored.dtype.type(1 << layout.high_bit)) != 0
        kept = np.asarray(np.where(negative, kept | stored.dtype.type(above), kept), dtype=stored.dtype)
    return kept


def _frames(dataset: Dataset, value: bytes, layout: PixelLayout) -> list[bytes]:
    tables = tuple(dataset.get_item(tag).value for tag in sorted(EXTENDED_OFFSET_TABLES) if tag in dataset)
    offsets = (tables[0], tables[1]) if len(tables) == len(EXTENDED_OFFSET_TABLES) else None
    try:
        frames = list(
            generate_frames(value, number_of_frames=layout.number_of_frames, extended_offsets=offsets)
        )
    except (ValueError, EOFError, IndexError, TypeError) as error:
        raise DeidentificationError("the fragments of the pixel data cannot be followed") from error
    if len(frames) != layout.number_of_frames:
        raise DeidentificationError(
            f"there are {len(frames)} frames; the header says {layout.number_of_frames}"
        )
    return frames


def _clean_frame(frame: bytes, layout: PixelLayout, transfer_syntax_uid: str) -> bytes:
    if transfer_syntax_uid in JPEG or transfer_syntax_uid in JPEG_LS:
        return clean_jpeg(frame)
    if transfer_syntax_uid in JPEG_2000:
        return clean_jpeg2000(frame)
    if transfer_syntax_uid == RLELossless:
        return clean_rle(frame, pixels=layout.rows * layout.columns)
    raise DeidentificationError(f"pixels in transfer syntax {transfer_syntax_uid} are not handled")


def _check_unused_bits(frame: bytes, layout: PixelLayout, transfer_syntax_uid: str) -> None:
    """Decode a frame that has room for more than the stored bits, and see that there is nothing in it.

    A sign carried into the unused bits is nothing.
    """
    try:
        rle = transfer_syntax_uid == RLELossless
        bits = layout.bits_allocated if rle else read_stream_header(frame, transfer_syntax_uid).bits
        if bits <= layout.bits_stored:
            return
        if layout.samples_per_pixel != 1:
            raise _unused_bits_held()
        samples = decode_compressed(
            frame,
            transfer_syntax_uid,
            rows=layout.rows,
            columns=layout.columns,
            bits_allocated=layout.bits_allocated,
        )
    except PixelError as error:
        raise DeidentificationError(
            "the pixels cannot be decoded, so their unused bits cannot be checked"
        ) from error
    # A codestream's samples have the stored bits in their lowest places, whatever the high bit of the header.
    cell = replace(layout, bits_allocated=bits, high_bit=layout.bits_stored - 1)
    found = samples & samples.dtype.type((1 << bits) - 1)
    unused = (found != masked(found, cell)) & (found != masked(found, replace(cell, signed=False)))
    if unused.any():
        raise _unused_bits_held()


def _unused_bits_held() -> HeldError:
    return HeldError(
        "held: unused-bits", hint="the frame must be encoded again to clear the bits above the stored ones"
    )
