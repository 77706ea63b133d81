from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from processing.errors import OutputError
from processing.png import SIGNATURE, encode_png

pictures = st.one_of(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))),
)


def decoded(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return np.asarray(image)


@given(pictures)
def test_another_reader_sees_the_same_pixels(picture) -> None:
    """Pillow reads back every grey and colour picture bit for bit."""
    assert np.array_equal(decoded(encode_png(picture)), picture)


def test_a_picture_that_is_a_view() -> None:
    """Flipped, transposed and strided views are written as they look."""
    picture = np.arange(240, dtype=np.uint8).reshape(12, 20)[::-1, ::2].T
    assert np.array_equal(decoded(encode_png(picture)), picture)


def test_same_picture_same_bytes_and_nothing_else_in_them() -> None:
    """The file holds the three chunks that must be, so no time, no text and no name; twice the same."""
    picture = (np.indices((64, 48)).sum(axis=0) % 256).astype(np.uint8)
    content = encode_png(picture)
    assert content == encode_png(picture.copy(order="F"))
    kinds, place = [], len(SIGNATURE)
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kinds.append(content[place + 4 : place + 8])
        place += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_smooth_pictures_are_compressed() -> None:
    """The filter and the compression work: a ramp takes a small part of its bytes."""
    ramp = np.add.outer(np.arange(512), np.arange(512)).astype(np.uint8)
    assert len(encode_png(ramp)) < ramp.size / 20


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), dtype=np.uint16),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros(4, dtype=np.uint8),
        np.zeros((0, 4), dtype=np.uint8),
        np.zeros((2, 3, 4, 3), dtype=np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_what_is_no_picture_is_refused(array) -> None:
    """No array is guessed into a picture."""
    with pytest.raises(OutputError), warnings.catch_warnings():
        encode_png(array)
