"""How a deflated data set is inflated without letting it grow out of bounds."""

from __future__ import annotations

import zlib
from typing import Final

from db.errors import MalformedDatasetError

DEFLATED_SYNTAXES: Final = frozenset(
    {"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"}
)
"""The transfer syntaxes whose whole data set is deflated."""

MAX_INFLATED_BYTES: Final = 1 << 30
"""How large an inflated data set may be."""
MAX_INFLATION: Final = 500
"""How many times its deflated size a large data set may be. Segmentations reach some 300, bombs 1,000."""
FREE_BYTES: Final = 64 << 20
"""Up to this size the ratio does not matter: a blank image is no bomb."""

_PIECE_BYTES = 64 << 10
_GROWTH_BYTES = 1 << 20


def inflate(deflated: memoryview) -> bytearray:
    """Return the inflated data set.

    Parameters
    ----------
    deflated
        A raw deflate stream; bytes after its end are padding.

    Raises
    ------
    MalformedDatasetError
        If it is no such stream, ends early, or grows beyond the limits of this module; it is refused as soon
        as it crosses one.

    Source
    ------
    PS3.5 section A.5.
    """
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    limit = min(MAX_INFLATED_BYTES, max(FREE_BYTES, len(deflated) * MAX_INFLATION))
    for start in range(0, len(deflated), _PIECE_BYTES):
        piece: bytes | memoryview = deflated[start : start + _PIECE_BYTES]
        # A small piece may inflate a thousandfold: it is fed again until nothing of it is left.
        while piece and not engine.eof:
            inflated += _grow(engine, piece)
            piece = engine.unconsumed_tail
            if len(inflated) > limit:
                raise MalformedDatasetError(
                    f"the deflated data set becomes larger than {limit} bytes", offset=limit
                )
    inflated += engine.flush()
    if not engine.eof:
        raise MalformedDatasetError("the deflated data set is cut off", offset=len(inflated))
    return inflated


def _grow(engine: zlib._Decompress, piece: bytes | memoryview) -> bytes:
    try:
        return engine.decompress(piece, _GROWTH_BYTES)
    except zlib.error as error:
        raise MalformedDatasetError("the deflated data set cannot be inflated") from error
