"""Part 10: where the data set of a file from the outside begins, whatever its head looks like."""

from __future__ import annotations

import io

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import FileFormatError
from darkroom.part10 import is_part10, read_head
from tests.series_factory import ct_series, part10

PREFIX = bytes(128) + b"DICM"
TRANSFER_SYNTAX = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"


@pytest.fixture(scope="module")
def content() -> bytes:
    return part10(ct_series()[0])


def test_the_data_set_is_what_follows_the_head(content):
    """What is behind the head is the data set that pydicom reads, and nothing else."""
    head = read_head(content)
    dataset = pydicom.dcmread(io.BytesIO(content))
    assert head.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
    behind = pydicom.dcmread(io.BytesIO(content[head.dataset_offset :]), force=True)
    behind.file_meta = dataset.file_meta
    assert behind.to_json() == dataset.to_json()


def test_a_wrong_group_length_does_not_mislead(content):
    """The end of the head is found element by element: its own length element is not believed."""
    at = content.index(b"\x02\x00\x00\x00UL")
    wrong = content[: at + 8] + b"\xff\xff\xff\x7f" + content[at + 12 :]
    assert read_head(wrong) == read_head(content)


def test_an_element_with_a_long_length_is_stepped_over():
    """File Meta Information Version and private information have four bytes of length (PS3.5 7.1.2)."""
    version = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"
    head = read_head(PREFIX + version + TRANSFER_SYNTAX + b"\x08\x00")
    assert head.dataset_offset == 132 + len(version) + len(TRANSFER_SYNTAX)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        bytes(200),
        PREFIX,
        PREFIX + b"\x08\x00\x05\x00CS\x00\x00",
        PREFIX + TRANSFER_SYNTAX[:-3],
        PREFIX + b"\x02\x00\x10\x00UI\x02\x00\xff\xff\x08\x00",
        PREFIX + b"\x02\x00\x01\x00OB\x00\x00\xff\xff\xff\xff",
    ],
)
def test_what_has_no_readable_head_is_refused(content):
    """A file that is no DICOM file, or ends within its head, is refused with a reason."""
    with pytest.raises(FileFormatError):
        read_head(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tail):
    """No bytes behind the prefix lead to another end than a head or a refusal."""
    try:
        assert read_head(PREFIX + tail).dataset_offset <= len(PREFIX + tail)
    except FileFormatError:
        assert is_part10(PREFIX + tail)
