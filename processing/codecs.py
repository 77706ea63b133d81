"""Compressed frames to samples: foreign decoders and their errors end here.

imagecodecs decodes all but RLE, and is the fastest; OpenJPEG and CharLS by their own bindings stand behind it.
None of them is shown a frame whose own size differs from the header's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import imagecodecs
import numpy as np
from jpeg_ls.CharLS import decode as decode_by_charls
from numpy.typing import NDArray
from openjpeg.utils import decode as decode_by_openjpeg
from pydicom.uid import RLELossless
from rle.rle import decode_segment

from processing.errors import PixelError
from processing.stream_header import (
    HTJ2K_SYNTAXES,
    JPEG_2000_SYNTAXES,
    JPEG_LS_SYNTAXES,
    JPEG_SYNTAXES,
    check_rle_header,
    jpeg_segments,
    read_stream_header,
    rle_segments,
)

Samples = NDArray[np.unsignedinteger[Any]]
Decoder = Callable[[bytes], NDArray[Any]]

_DECODER_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError)
_DCT_FRAMES = frozenset({0xC0, 0xC1})
_START_OF_SCAN = 0xDA
_LARGEST_RUN = 64  # PackBits: two bytes make at most 128


def is_supported(transfer_syntax_uid: str) -> bool:
    """Whether frames in a compressed transfer syntax can be decoded."""
    return transfer_syntax_uid == RLELossless or transfer_syntax_uid in _DECODERS


def decode_compressed(
    frame: bytes, transfer_syntax_uid: str, *, rows: int, columns: int, bits_allocated: int
) -> Samples:
    """Return the samples of one compressed frame of one component, as bit patterns.

    Returns
    -------
    ndarray
        (rows, columns), unsigned, as wide as Bits Allocated. A codestream with signed samples (JPEG 2000 has
        such) gives two's complement; Pixel Representation decides what the bits mean.

    Raises
    ------
    PixelError
        If the frame's own size or depth differs from the header's, or it cannot be decoded.
    """
    if transfer_syntax_uid == RLELossless:
        return _decode_rle(frame, rows, columns, bits_allocated)
    stream = read_stream_header(frame, transfer_syntax_uid)
    if (stream.rows, stream.columns) != (rows, columns):
        raise PixelError(
            f"The codestream has {stream.rows} x {stream.columns} pixels in place of {rows} x {columns}."
        )
    if stream.components != 1:
        raise PixelError(f"The codestream has {stream.components} components in place of 1.")
    if stream.bits > bits_allocated:
        raise PixelError(f"The codestream has {stream.bits} bits a sample, more than {bits_allocated}.")
    samples = _decode_first(frame, _DECODERS[transfer_syntax_uid])
    if samples.shape != (rows, columns) or samples.dtype.kind not in "iu":
        raise PixelError("The codestream was decoded to another shape than it claims.")
    return samples.astype(f"u{bits_allocated // 8}")  # signed samples wrap round to two's complement


def _decode_first(frame: bytes, decoders: Sequence[Decoder]) -> NDArray[Any]:
    failure: Exception | None = None
    for decoder in decoders:
        try:
            return np.asarray(decoder(frame))
        except _DECODER_ERRORS as error:
            failure = error
    raise PixelError("The codestream cannot be decoded: it is damaged or cut short.") from failure


def _decode_jpeg(frame: bytes) -> NDArray[Any]:
    return np.asarray(imagecodecs.jpeg8_decode(mend_spectral_selection(frame)))


def _decode_jpeg_ls_by_charls(frame: bytes) -> NDArray[Any]:
    return np.asarray(decode_by_charls(np.frombuffer(frame, dtype=np.uint8)))


_DECODERS: dict[str, tuple[Decoder, ...]] = {
    **dict.fromkeys(JPEG_SYNTAXES, (_decode_jpeg, imagecodecs.jpegsof3_decode)),
    **dict.fromkeys(JPEG_LS_SYNTAXES, (imagecodecs.jpegls_decode, _decode_jpeg_ls_by_charls)),
    **dict.fromkeys(JPEG_2000_SYNTAXES, (imagecodecs.jpeg2k_decode, decode_by_openjpeg)),
    **dict.fromkeys(HTJ2K_SYNTAXES, (imagecodecs.htj2k_decode, decode_by_openjpeg)),
}


def mend_spectral_selection(frame: bytes) -> bytes:
    """Return a sequential DCT codestream with 63 for a scan's end of spectral selection where it says 0.

    Some devices write Ss = Se = 0, which says that the image has no detail, and every decoder refuses it.

    Source
    ------
    ISO/IEC 10918-1 B.2.3, table B.3: for sequential DCT, Ss is 0 and Se is 63.
    """
    segments = jpeg_segments(frame)
    marker, start = segments[-1]
    if marker != _START_OF_SCAN or not any(name in _DCT_FRAMES for name, _ in segments):
        return frame
    end_of_selection = start + 4 + 2 * frame[start + 2] if start + 2 < len(frame) else len(frame)
    if end_of_selection >= len(frame) or frame[end_of_selection - 1 : end_of_selection + 1] != b"\0\0":
        return frame
    return frame[:end_of_selection] + b"\x3f" + frame[end_of_selection + 1 :]


def _decode_rle(frame: bytes, rows: int, columns: int, bits_allocated: int) -> Samples:
    """Source: PS3.5 Annex G: a segment for each byte of a sample, the most significant first."""
    sample_bytes, pixels = bits_allocated // 8, rows * columns
    check_rle_header(frame, sample_bytes)
    samples = np.empty((sample_bytes, pixels), dtype=np.uint8)
    for place, segment in enumerate(rle_segments(frame)):
        if len(segment) * _LARGEST_RUN < pixels:
            raise PixelError(f"An RLE segment of {len(segment)} bytes cannot hold {pixels} pixels.")
        try:
            plane = np.frombuffer(decode_segment(segment), dtype=np.uint8)
        except _DECODER_ERRORS as error:
            raise PixelError("An RLE segment cannot be decoded: it is damaged.") from error
        if plane.size < pixels:
            raise PixelError(f"An RLE segment holds {plane.size} pixels in place of {pixels}.")
        samples[place] = plane[:pixels]  # a byte of padding may follow
    big_endian = np.ascontiguousarray(samples.T).view(f">u{sample_bytes}")
    return big_endian.astype(f"u{sample_bytes}").reshape(rows, columns)
