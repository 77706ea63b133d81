"""The element reader: what it takes, what it refuses, and that it always comes to an end."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from db import elements
from db.elements import MAX_DEPTH, read_elements
from db.errors import MalformedDatasetError
from tests.db.part10 import PYDICOM_FILES, encode, instance_files, split_part10

if TYPE_CHECKING:
    from pathlib import Path

UNDEFINED = 0xFFFFFFFF
PATIENT_ID = 0x00100020
STUDY_ID = 0x00200010
LAST = struct.pack("<HH2sH", 0x0020, 0x0010, b"SH", 4) + b"LAST"
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)

# Damaged files that pydicom's tolerant mode reads as far as they go. Each is refused for a reason.
REFUSED = {
    "3gb-bulk-data-truncated": "the pixel data are cut off",
    "MR_truncated.dcm": "the pixel data are cut off",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "the pixel data are cut off",
    "rtplan_truncated.dcm": "a sequence is cut off",
    "DICOMDIR-nooffset": "a directory file whose last record is cut off",
}


def item(content: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content) if length is None else length) + content


def explicit(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    length = len(value) if length is None else length
    if vr in (b"SQ", b"UN", b"OB", b"OW", b"UT"):
        return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, length) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, length) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def sequence(content: bytes, length: int | None = None) -> bytes:
    return explicit(0x00081140, b"SQ", content, length)


UID = explicit(0x00081155, b"UI", b"1.2\0")

TOLERATED = {
    "tags out of order": LAST + explicit(0x00080060, b"CS", b"CT"),
    "odd length": explicit(0x00080060, b"CS", b"CTX") + LAST,
    "unknown VR of two letters": explicit(0x00091001, b"ZZ", b"abcd") + LAST,
    "an element in implicit VR among explicit ones": LAST + implicit(0x00091001, b"abcd"),
    "zeros at the end": LAST + bytes(1000),
    "three zeros at the end": LAST + bytes(3),
    "trailing padding element": LAST + explicit(0xFFFCFFFC, b"OB", bytes(64)),
    "empty sequence": sequence(b"") + LAST,
    "empty sequence of undefined length": sequence(SEQUENCE_END, UNDEFINED) + LAST,
    "empty item of undefined length": sequence(item(ITEM_END, UNDEFINED)) + LAST,
    "undefined in defined": sequence(item(UID + ITEM_END, UNDEFINED)) + LAST,
    "defined in undefined": sequence(item(UID) + SEQUENCE_END, UNDEFINED) + LAST,
    "delimiters at the end of defined lengths": sequence(item(UID + ITEM_END) + SEQUENCE_END) + LAST,
    "implicit VR within an explicit sequence": sequence(item(implicit(0x00081155, b"1.2\0"))) + LAST,
    "UN of undefined length is a sequence in implicit VR": explicit(
        0x00091010, b"UN", item(implicit(0x00091011, b"x ") + ITEM_END, UNDEFINED) + SEQUENCE_END, UNDEFINED
    )
    + LAST,
    "UN of defined length is opaque": explicit(0x00091010, b"UN", b"\xfe\xff\x00\xe0no item") + LAST,
    "encapsulated pixel data before others": explicit(
        0x7FE00010, b"OB", item(b"") + item(SEQUENCE_END) + SEQUENCE_END, UNDEFINED
    )
    + LAST,
    "group 0002 within an item": sequence(item(explicit(0x00020010, b"UI", b"1.2\0"))) + LAST,
}

MALFORMED = {
    "length that covers what follows a sequence delimiter": sequence(item(UID) + SEQUENCE_END + LAST),
    "length that covers what follows an item delimiter": sequence(item(UID + ITEM_END + item(UID))),
    "fragments of text": explicit(0x00080119, b"UT", item(b"ab") + SEQUENCE_END, UNDEFINED),
    "value past the end": explicit(0x00080060, b"CS", b"CT", 4),
    "long value past the end": explicit(0x7FE00010, b"OW", bytes(8), 0xFFFFFFFE),
    "cut within a tag": LAST + b"\x10\x00\x20",
    "cut within a long length": LAST + explicit(0x7FE00010, b"OW", b"")[:9],
    "sequence past the end": sequence(item(UID), 200),
    "item past its sequence": sequence(item(UID, len(UID) + 8)) + LAST,
    "value past its item": sequence(item(explicit(0x00081155, b"UI", b"1.2\0", 12)) + item(UID)),
    "sequence without delimiter": sequence(item(UID), UNDEFINED),
    "item without delimiter": sequence(item(UID, UNDEFINED)),
    "sequence delimiter for an item": sequence(item(UID + SEQUENCE_END, UNDEFINED), UNDEFINED),
    "item delimiter at the top": LAST + ITEM_END,
    "item at the top": item(LAST),
    "sequence delimiter at the top": SEQUENCE_END + LAST,
    "item delimiter within a defined item": sequence(item(UID + ITEM_END + UID)),
    "sequence delimiter within a defined sequence": sequence(SEQUENCE_END + item(UID)),
    "an element where an item belongs": sequence(UID),
    "undefined length of text": explicit(0x00080119, b"UT", b"abc " + SEQUENCE_END, UNDEFINED),
    "fragments without delimiter": explicit(0x7FE00010, b"OB", item(b"") + item(b"ab"), UNDEFINED),
    "fragment past the end": explicit(0x7FE00010, b"OB", item(b"ab", 400) + SEQUENCE_END, UNDEFINED),
    "fragment of undefined length": explicit(
        0x7FE00010, b"OB", item(b"", UNDEFINED) + SEQUENCE_END, UNDEFINED
    ),
    "command group": explicit(0x00000002, b"UI", b"1.2\0") + LAST,
    "file meta group": explicit(0x00020010, b"UI", b"1.2\0") + LAST,
    "zeros in the middle": bytes(16) + LAST,
    "rubbish at the end": LAST + b"\0\0\0\0\0\0\0\0x",
}


@pytest.mark.parametrize("case", TOLERATED)
def test_what_real_devices_send_is_read(case: str) -> None:
    # Each case is met in the field and read by every toolkit; the element behind it must still be found.
    found = read_elements(TOLERATED[case], ExplicitVRLittleEndian, {STUDY_ID})
    assert found.values[STUDY_ID].value == b"LAST"


@pytest.mark.parametrize("group", [0x00000002, 0x00020010])
def test_command_and_file_meta_elements_are_refused_in_implicit_vr(group: int) -> None:
    # A command set or a file header within a data set would be read as one by whoever gets it.
    with pytest.raises(MalformedDatasetError, match="groups 0000 and 0002"):
        read_elements(implicit(STUDY_ID, b"A ") + implicit(group, b"1.2\0"), ImplicitVRLittleEndian, ())
    read_elements(implicit(STUDY_ID, b"A ") + bytes(64), ImplicitVRLittleEndian, ())


def test_an_implicit_item_is_implicit_to_its_end() -> None:
    # In an item that began in implicit VR, a length that looks like a VR (0x4141 is "AA") is a length.
    content = implicit(0x00081155, b"1.2\0") + implicit(0x00091001, bytes(0x4141))
    data = sequence(item(content)) + LAST
    assert read_elements(data, ExplicitVRLittleEndian, {STUDY_ID}).values[STUDY_ID].value == b"LAST"


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_refused(case: str) -> None:
    # Each case would have a reader guess; the error says where, within the data.
    with pytest.raises(MalformedDatasetError) as refused:
        read_elements(MALFORMED[case], ExplicitVRLittleEndian, {STUDY_ID})
    assert 0 <= refused.value.offset <= len(MALFORMED[case])


def test_an_error_tells_no_values() -> None:
    # A patient's name in a broken data set does not reach a log.
    broken = explicit(0x00100010, b"PN", b"CANARY^ZELDA") + explicit(0x00100020, b"LO", b"CANARY-ID", 90)
    with pytest.raises(MalformedDatasetError) as refused:
        read_elements(broken, ExplicitVRLittleEndian, ())
    assert "CANARY" not in str(refused.value)
    assert "(0010,0020)" in str(refused.value)


def nested(depth: int) -> bytes:
    return (sequence(b"", UNDEFINED) + item(b"", UNDEFINED)) * depth + (ITEM_END + SEQUENCE_END) * depth


def test_depth_has_a_limit() -> None:
    # The limit is where it is said to be: 64 read, 65 do not.
    read_elements(nested(MAX_DEPTH), ExplicitVRLittleEndian, ())
    with pytest.raises(MalformedDatasetError, match="deeper than 64"):
        read_elements(nested(MAX_DEPTH + 1), ExplicitVRLittleEndian, ())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_deep_nesting_is_refused_at_its_beginning(syntax: str) -> None:
    # 200,000 levels neither exhaust a stack nor are walked: the reader stops within the first kilobytes.
    level = (
        sequence(b"", UNDEFINED) if syntax == ExplicitVRLittleEndian else implicit(0x00081140, b"", UNDEFINED)
    )
    with pytest.raises(MalformedDatasetError) as refused:
        read_elements((level + item(b"", UNDEFINED)) * 200_000, syntax, ())
    assert refused.value.offset < 2000


@pytest.mark.parametrize("one", [item(b""), item(ITEM_END, UNDEFINED)], ids=["defined", "undefined"])
def test_a_flood_of_empty_items_is_refused_early(one: bytes) -> None:
    # 500,000 empty items cost their sender little and a reader half a gigabyte.
    with pytest.raises(MalformedDatasetError, match="empty items") as refused:
        read_elements(sequence(one * 500_000), ExplicitVRLittleEndian, ())
    assert refused.value.offset < 500_000


@pytest.mark.parametrize(
    "flood",
    [
        explicit(0x00091001, b"LO", b"") * 50,
        sequence(item(explicit(0x00091001, b"LO", b""))) * 25,
        explicit(0x7FE00010, b"OB", item(b"") * 50 + SEQUENCE_END, UNDEFINED),
        sequence(item(UID) * 50),
    ],
    ids=["elements", "sequences", "fragments", "items"],
)
def test_the_number_of_elements_has_a_limit(flood: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    # Elements, items and fragments all count; the limit is lowered so that the test needs no gigabytes.
    monkeypatch.setattr(elements, "MAX_ELEMENTS", 40)
    with pytest.raises(MalformedDatasetError, match="too many elements"):
        read_elements(flood, ExplicitVRLittleEndian, ())


def test_the_last_of_repeated_elements_counts_and_nested_ones_do_not() -> None:
    # As pydicom has it; and a Patient ID within a sequence is not the patient's.
    data = explicit(PATIENT_ID, b"LO", b"A ") + explicit(PATIENT_ID, b"LO", b"B ")
    data += sequence(item(explicit(PATIENT_ID, b"LO", b"C ")))
    assert read_elements(data, ExplicitVRLittleEndian, {PATIENT_ID}).values[PATIENT_ID] == (b"LO", b"B ")


def test_all_elements_may_be_wanted() -> None:
    # Requests are read whole: every element of the top level, sequences empty, values as long as asked for.
    data = explicit(PATIENT_ID, b"LO", b"ABCD") + sequence(item(UID)) + explicit(0x00080060, b"CS", b"")
    for syntax in (ExplicitVRLittleEndian, RLELossless):
        found = read_elements(data, syntax, None, most_bytes=3).values
        assert found == {PATIENT_ID: (b"LO", b"ABC"), 0x00081140: (b"SQ", b""), 0x00080060: (b"CS", b"")}


def test_a_long_value_is_cut() -> None:
    # A gigabyte in a text element does not become a gigabyte in the index.
    data = explicit(0x00081030, b"UT", b"x" * 100_000)
    kept = read_elements(data, ExplicitVRLittleEndian, {0x00081030}).values[0x00081030].value
    assert kept == b"x" * elements.MAX_VALUE_BYTES


def test_implicit_text_under_a_sequence_tag_is_opaque() -> None:
    # The dictionary says sequence, an old sender wrote text; every toolkit reads on.
    data = implicit(0x0040A170, b"NAMEONLY") + implicit(STUDY_ID, b"LAST")
    assert read_elements(data, ImplicitVRLittleEndian, {STUDY_ID}).values[STUDY_ID] == (None, b"LAST")


@pytest.mark.parametrize(
    ("data", "syntax"),
    [(LAST, ImplicitVRLittleEndian), (implicit(STUDY_ID, b"LAST"), ExplicitVRLittleEndian)],
    ids=["explicit instead of implicit", "implicit instead of explicit"],
)
def test_the_other_vr_encoding_is_noticed(data: bytes, syntax: str) -> None:
    # Senders that label one encoding as the other are read by pydicom and DCMTK, and so here.
    assert read_elements(data, syntax, {STUDY_ID}).values[STUDY_ID].value == b"LAST"


def check_files(files: list[Path]) -> None:
    """Every file is read, but those refused for a reason."""
    assert files
    refused = set()
    for path in files:
        try:
            read_elements(*split_part10(path), ())
        except MalformedDatasetError:
            refused.add(path.name)
    assert refused <= set(REFUSED)


def test_the_files_of_pydicom_are_read() -> None:
    # Nothing that pydicom's own collection holds is refused without a reason that is written down here.
    check_files(instance_files(PYDICOM_FILES))


@pytest.mark.corpus
def test_the_files_of_the_corpus_are_read(corpus: Path) -> None:
    # Nothing of 600 real instances is refused without a reason that is written down here.
    check_files(instance_files(corpus))


def _value(vr: str) -> st.SearchStrategy[object]:
    return {
        "LO": st.text("ABC ", max_size=20),
        "US": st.integers(0, 65535),
        "OB": st.binary(max_size=30).map(lambda value: value + b"\0" * (len(value) % 2)),
        "UT": st.text("ABC ", max_size=200),
    }[vr]


@st.composite
def datasets(draw: st.DrawFn, depth: int = 2) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    for number in draw(st.lists(st.integers(0x10, 0x40), unique=True, max_size=5)):
        vr = draw(st.sampled_from(["LO", "US", "OB", "UT", *(["SQ"] if depth else [])]))
        if vr == "SQ":
            items = draw(st.lists(datasets(depth=depth - 1), max_size=3))
            element = pydicom.DataElement(0x00210000 | number, "SQ", Sequence(items))
            element.is_undefined_length = draw(st.booleans())
            for one in items:
                one.is_undefined_length_sequence_item = draw(st.booleans())
        else:
            element = pydicom.DataElement(0x00210000 | number, vr, draw(_value(vr)))
        dataset.add(element)
    dataset.StudyID = draw(st.text("ABC", min_size=1, max_size=8))
    return dataset


SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless]


@given(datasets(), st.sampled_from(SYNTAXES))
def test_what_pydicom_writes_is_read(dataset: pydicom.Dataset, syntax: str) -> None:
    # In every encoding, with defined and undefined lengths, to any depth that pydicom is asked for.
    found = read_elements(encode(dataset, syntax), syntax, {STUDY_ID})
    assert found.values[STUDY_ID].value.decode().rstrip() == dataset.StudyID


@given(datasets())
def test_what_pydicom_writes_deflated_is_read(dataset: pydicom.Dataset) -> None:
    # The same, deflated.
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = engine.compress(encode(dataset, ExplicitVRLittleEndian)) + engine.flush()
    found = read_elements(data, DeflatedExplicitVRLittleEndian, {STUDY_ID})
    assert found.values[STUDY_ID].value.decode().rstrip() == dataset.StudyID


@given(datasets(), st.sampled_from(SYNTAXES), st.data())
def test_a_data_set_cut_anywhere_is_refused_or_ends_between_elements(
    dataset: pydicom.Dataset, syntax: str, data: st.DataObject
) -> None:
    # A truncated transfer never passes for a whole one, unless the cut leaves a shorter, whole data set.
    dataset = pydicom.Dataset({tag: dataset[tag] for tag in dataset.keys()})  # noqa: SIM118
    whole = encode(dataset, syntax)
    borders = {0}
    for count in range(1, len(dataset) + 1):
        first = pydicom.Dataset({tag: dataset[tag] for tag in sorted(dataset.keys())[:count]})
        borders.add(len(encode(first, syntax)))
    cut = data.draw(st.integers(0, len(whole)))
    if cut in borders or not any(whole[max(border for border in borders if border <= cut) : cut]):
        read_elements(whole[:cut], syntax, ())
    else:
        with pytest.raises(MalformedDatasetError):
            read_elements(whole[:cut], syntax, ())


@given(datasets(), st.sampled_from(SYNTAXES), st.data())
def test_damaged_bytes_are_read_or_refused_and_nothing_else(
    dataset: pydicom.Dataset, syntax: str, data: st.DataObject
) -> None:
    # Whatever a peer sends, the reader ends with an answer or with its own error.
    raw = bytearray(encode(dataset, syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_elements(memoryview(raw), syntax, {STUDY_ID})
    except MalformedDatasetError as error:
        assert error.offset <= len(raw)  # noqa: PT017


@given(st.binary(max_size=200), st.sampled_from([*SYNTAXES, DeflatedExplicitVRLittleEndian]))
def test_any_bytes_are_read_or_refused(raw: bytes, syntax: str) -> None:
    # The same for bytes that never were a data set.
    with suppress(MalformedDatasetError):
        read_elements(raw, syntax, {STUDY_ID})
