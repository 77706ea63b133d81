"""Inflating: whole streams come back, and nothing grows out of bounds."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import deflated
from db.errors import MalformedDatasetError


def deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


@given(st.binary(max_size=2000), st.integers(min_value=1, max_value=300), st.sampled_from([b"", b"\0"]))
def test_what_was_deflated_comes_back(data: bytes, times: int, padding: bytes) -> None:
    # Inflating undoes deflating, whatever the sizes of the pieces, and the padding byte is no fault.
    assert deflated.inflate(memoryview(deflate(data * times) + padding)) == data * times


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_stream_that_is_cut_off_is_refused(cut: int) -> None:
    # Half a stream inflates to half a data set; that must not pass for a whole one.
    whole = deflate(bytes(range(256)) * 3)
    with pytest.raises(MalformedDatasetError, match="cut off"):
        deflated.inflate(memoryview(whole[: min(cut, len(whole) - 1)]))


def test_what_is_no_stream_is_refused() -> None:
    # zlib's own error does not leave the module.
    with pytest.raises(MalformedDatasetError, match="cannot be inflated"):
        deflated.inflate(memoryview(b"\xff" * 50))


def test_a_bomb_is_refused_as_soon_as_it_crosses_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # A thousandfold inflation is stopped at the limit, not after it was done.
    monkeypatch.setattr(deflated, "FREE_BYTES", 1 << 20)
    bomb = deflate(bytes(50 << 20))
    with pytest.raises(MalformedDatasetError) as refused:
        deflated.inflate(memoryview(bomb))
    assert refused.value.offset == len(bomb) * deflated.MAX_INFLATION < 50 << 20


def test_a_blank_image_is_no_bomb() -> None:
    # Small data sets may inflate as far as they like: blank images do.
    blank = bytes(4 << 20)
    assert deflated.inflate(memoryview(deflate(blank))) == blank


def test_the_largest_size_holds_whatever_the_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    # A data set that hardly deflates is bounded too.
    monkeypatch.setattr(deflated, "MAX_INFLATED_BYTES", 1000)
    with pytest.raises(MalformedDatasetError, match="larger than 1000"):
        deflated.inflate(memoryview(deflate(bytes(range(256)) * 4)))
