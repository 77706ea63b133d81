"""What a data set names, found again in whatever spelling."""

from __future__ import annotations

import pydicom
import pytest
from pydicom import Dataset, Sequence

from processing.errors import DeidentificationError
from processing.identifiers import MAXIMUM_DEPTH, Identifiers


def nested(depth: int) -> Dataset:
    dataset = Dataset()
    dataset.PatientName = "Li^Ottoline"
    for _ in range(depth):
        outer = Dataset()
        outer.PlanePositionSequence = Sequence([dataset])
        dataset = outer
    return dataset


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("scan for OTTOLINE", True),
        ("O.t-t o_l i n e", True),
        ("Dr LI", True),  # two letters count as a word
        ("LIVER", False),  # and not as part of one
        ("zk 4711", True),
        ("ZK", False),
        ("SOMATOM", False),
    ],
)
def test_names_and_numbers_are_found_in_any_spelling(text: str, found: bool) -> None:
    # Wherever in the data set the name stands: here three items deep.
    dataset = nested(3)
    dataset.PatientID = "ZK-4711"
    assert Identifiers.of(dataset).appear_in(text) is found


def test_numbers_are_compared_as_a_whole() -> None:
    # A pixel spacing that happens to hold the figures of an identifier is not one.
    dataset = Dataset()
    dataset.PatientID = "471100"
    identifiers = Identifiers.of(dataset)
    assert identifiers.contain_number("471100")
    assert not identifiers.contain_number("0.4711001")


def test_dates_are_identifiers_as_a_whole() -> None:
    # A series that a device numbers by the day; but a year alone is in too many versions.
    dataset = Dataset()
    dataset.PatientBirthDate, dataset.StudyDate = "19370429", "20240229"
    dataset.AcquisitionDateTime, dataset.FrameAcquisitionDateTime = "20240301101500", "2023"
    identifiers = Identifiers.of(dataset)
    assert all(identifiers.contain_number(day) for day in ("19370429", "20240229", "20240301"))
    assert identifiers.appear_in("born 1937-04-29")
    assert not identifiers.appear_in("syngo CT 2023A")


def test_nesting_has_an_end() -> None:
    # A data set nested without end must not exhaust the stack.
    with pytest.raises(DeidentificationError, match="nested"):
        Identifiers.of(nested(MAXIMUM_DEPTH + 1))


def test_bytes_that_are_no_sequence_are_refused() -> None:
    # A reader that gives up in the middle of a sequence must not leave the rest unread.
    dataset = Dataset()
    raw = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(0x00209113), "SQ", 6, b"Zwart!", 0, False, True)
    dataset[0x00209113] = raw
    with pytest.raises(DeidentificationError, match="sequence"):
        Identifiers.of(dataset)
