# ruff: noqa: RUF001
"""The described header: pydicom is the oracle for every readable file, and UIDs are demanded."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from db.charset import decode_text, encodings_of
from db.errors import MalformedDatasetError
from db.header import MAX_TEXT, describe
from db.person_name import trim_name
from tests.db.part10 import PYDICOM_FILES, encode, instance_files, split_part10

if TYPE_CHECKING:
    from pathlib import Path

    from db.records import InstanceRecord

UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def minimal(**attributes: Any) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = "1.2.3.1"
    dataset.StudyInstanceUID = "1.2.3.2"
    dataset.SeriesInstanceUID = "1.2.3.3"
    dataset.update(dict(attributes.items()))
    return dataset


def described(dataset: pydicom.Dataset, syntax: str = ExplicitVRLittleEndian) -> InstanceRecord:
    return describe(encode(dataset, syntax), syntax)


# ---- pydicom as the oracle


def _text(dataset: pydicom.Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    if value is None:
        return ""
    values = value if isinstance(value, pydicom.multival.MultiValue) else [value]
    return "\\".join(str(one).strip(" \0") for one in values)


def _integer(dataset: pydicom.Dataset, keyword: str) -> int | None:
    value = dataset.get(keyword)
    if isinstance(value, list):
        value = value[0] if value else None
    try:
        return None if value is None else int(value)
    except ValueError:
        return None


def _floats(dataset: pydicom.Dataset, keyword: str) -> tuple[float, ...] | None:
    value = dataset.get(keyword)
    return tuple(float(one) for one in value) if value else None


def expected(dataset: pydicom.Dataset) -> dict[str, object]:
    """The fields of a record as pydicom reads them."""
    texts = {
        "patient_id": "PatientID",
        "issuer_of_patient_id": "IssuerOfPatientID",
        "patient_sex": "PatientSex",
        "study_instance_uid": "StudyInstanceUID",
        "accession_number": "AccessionNumber",
        "study_id": "StudyID",
        "study_description": "StudyDescription",
        "series_instance_uid": "SeriesInstanceUID",
        "modality": "Modality",
        "series_description": "SeriesDescription",
        "body_part_examined": "BodyPartExamined",
        "protocol_name": "ProtocolName",
        "manufacturer": "Manufacturer",
        "station_name": "StationName",
        "sop_class_uid": "SOPClassUID",
        "sop_instance_uid": "SOPInstanceUID",
    }
    names = {"patient_name": "PatientName", "referring_physician_name": "ReferringPhysicianName"}
    dates = {
        "patient_birth_date": "PatientBirthDate",
        "study_date": "StudyDate",
        "series_date": "SeriesDate",
        "content_date": "ContentDate",
    }
    times = {"study_time": "StudyTime", "series_time": "SeriesTime", "content_time": "ContentTime"}
    numbers = {
        "series_number": "SeriesNumber",
        "instance_number": "InstanceNumber",
        "rows": "Rows",
        "columns": "Columns",
        "bits_allocated": "BitsAllocated",
        "number_of_frames": "NumberOfFrames",
    }
    return {
        **{field: _text(dataset, keyword) for field, keyword in texts.items()},
        **{field: trim_name(_text(dataset, keyword)) for field, keyword in names.items()},
        **{field: _text(dataset, keyword).replace(".", "") for field, keyword in dates.items()},
        **{field: _text(dataset, keyword).replace(":", "") for field, keyword in times.items()},
        **{field: _integer(dataset, keyword) for field, keyword in numbers.items()},
        "position_lps": _floats(dataset, "ImagePositionPatient"),
        "orientation_lps": _floats(dataset, "ImageOrientationPatient"),
        "has_pixel_data": any(
            dataset.get(keyword) is not None
            for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
        ),
    }


def fields(record: InstanceRecord) -> dict[str, object]:
    """The record's fields, of all levels in one."""
    levels = (record.patient, record.study, record.series, record)
    found = {name: getattr(level, name) for level in levels for name in level.__slots__}
    return {name: found[name] for name in expected(pydicom.Dataset())}


def compare_with_pydicom(files: list[Path]) -> int:
    """Compare each file that `describe` takes; the others must lack what `describe` demands."""
    compared = 0
    for path in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
            truth = expected(dataset)
        try:
            record = describe(*split_part10(path))
        except MalformedDatasetError as error:
            complete = all(re.fullmatch(r"[0-9.]+", dataset.get(keyword, "")) for keyword in UIDS)
            assert not complete or "runs past" in str(error) or "no delimiter" in str(error), path  # noqa: PT017
            continue
        assert fields(record) == truth, path
        compared += 1
    return compared


def test_pydicoms_files_are_described_as_pydicom_reads_them() -> None:
    # Every charset, VR and encoding of pydicom's own collection gives the same values in both.
    assert compare_with_pydicom(instance_files(PYDICOM_FILES)) > 80


@pytest.mark.corpus
def test_the_corpus_is_described_as_pydicom_reads_it(corpus: Path) -> None:
    # So do 600 real instances.
    assert compare_with_pydicom(instance_files(corpus)) > 580


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (None, "Doe^Jane"),
        ("ISO_IR 100", "Äneas^Rüdiger"),
        ("ISO_IR 101", "Wałęsa^Lech"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 126", "Διονυσιος"),
        ("ISO_IR 127", "قباني^لنزار"),
        ("ISO_IR 138", "שרון^דבורה"),
        ("ISO_IR 148", "Çavuşoğlu"),
        ("ISO_IR 166", "นามสกุล^ชื่อ"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("GBK", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (["ISO 2022 IR 6", "ISO 2022 IR 100", "ISO 2022 IR 144"], "Buc^Jérôme=Люкceмбypг"),
    ],
)
def test_names_in_every_character_set_are_read(character_set: str | list[str] | None, name: str) -> None:
    # The name that pydicom encodes comes back, in single byte, multi-byte and extended character sets.
    dataset = minimal()
    if character_set is not None:
        dataset.SpecificCharacterSet = character_set
    dataset.PatientName = name
    assert described(dataset).patient.patient_name == name


def test_a_backslash_within_a_character_does_not_split() -> None:
    # In GB18030 the second byte of a character may be 0x5C.
    character = "\u4e57"
    assert b"\\" in character.encode("gb18030")
    dataset = minimal()
    dataset.SpecificCharacterSet = "GB18030"
    dataset.StudyDescription = f"A {character} B"
    assert described(dataset).study.study_description == f"A {character} B"


@pytest.mark.parametrize(
    "term", ["ISO-IR 100", "ISO IR 100", "iso_ir 100", "ISO_IR100", "NO SUCH SET", "hex_codec"]
)
def test_misspelt_and_unknown_character_sets_never_fail(term: str) -> None:
    # Common misspellings are read as meant and all others as Latin-1; names of Python codecs are no way in.
    dataset = minimal()
    raw = encode(dataset, ExplicitVRLittleEndian)
    head = b"\x08\x00\x05\x00CS" + len(term).to_bytes(2, "little") + term.encode()
    name = b"\x10\x00\x10\x00PN\x04\x00J\xfcrg"
    assert describe(head + raw + name, ExplicitVRLittleEndian).patient.patient_name == "Jürg"


@pytest.mark.parametrize(
    "term", ["ISO_IR 192", "GB18030", "\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 149"]
)
def test_undecodable_text_is_replaced(term: str) -> None:
    # A name in the wrong character set costs its own characters, not the instance.
    raw = encode(minimal(), ExplicitVRLittleEndian)
    term += " " * (len(term) % 2)
    head = b"\x08\x00\x05\x00CS" + len(term).to_bytes(2, "little") + term.encode()
    name = b"\x10\x00\x10\x00PN\x0c\x00A\xff\xfe\x1b$B\xff\x1b(Q^B"
    found = describe(head + raw + name, ExplicitVRLittleEndian).patient.patient_name
    assert found.startswith("A")
    assert "\ufffd" in found


@pytest.mark.parametrize(
    ("term", "raw", "text"),
    [
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ",
        ),
        ("\\ISO 2022 IR 149", b"Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong=洪^吉洞"),
        ("\\ISO 2022 IR 58", b"Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang=张^小东"),
        ("\\ISO 2022 IR 159", b"A^B=\x1b$(D\x22\x6f\x1b(B^C", "A^B=™^C"),
        ("ISO 2022 IR 100\\ISO 2022 IR 126", b"J\xe9^\x1b-F\xc4^J\xe9", "Jé^Δ^Jé"),
        ("\\ISO 2022 IR 149", b"A\x1b-FB^C", "A\x1b-FB^C"),
        ("ISO_IR 192\\ISO 2022 IR 87", "é".encode() + b"\x1b$B;3", "é\x1b$B;3"),
        ("ISO 2022 IR 100\\GB18030", b"\xe9", "é"),
    ],
)
def test_extended_character_sets_are_decoded(term: str, raw: bytes, text: str) -> None:
    # Escape sequences switch, delimiters switch back (PS3.5 annexes H to K); an escape sequence of a character
    # set that was not announced switches nothing.
    assert decode_text(raw, encodings_of(term)) == text


# ---- single rules


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_numbers_are_read_in_every_byte_order(syntax: str) -> None:
    # US is binary: the byte order of the transfer syntax counts.
    dataset = minimal()
    dataset.Rows, dataset.Columns, dataset.BitsAllocated = 512, 258, 16
    record = described(dataset, syntax)
    assert (record.rows, record.columns, record.bits_allocated) == (512, 258, 16)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("7", 7), (" +07 ", 7), ("-3", -3), ("4.0", 4)),
        *((text, None) for text in ("4.5", "", "x", "1_0", "1\\2", "99999999999", "nan", "inf", "1e999")),
    ],
)
def test_integer_strings_are_read_or_absent(text: str, number: int | None) -> None:
    # A bad number is no number; it never costs the instance and never overflows the index.
    raw = encode(minimal(), ExplicitVRLittleEndian)
    element = b"\x20\x00\x13\x00IS" + len(text).to_bytes(2, "little") + text.encode()
    assert describe(raw + element, ExplicitVRLittleEndian).instance_number == number


@pytest.mark.parametrize("text", ["1\\2", "1\\2\\x", "1\\2\\nan", "1\\2\\3\\4", ""])
def test_a_bad_position_is_no_position(text: str) -> None:
    # The geometry of a series is judged by positions that are whole.
    raw = encode(minimal(), ExplicitVRLittleEndian)
    element = b"\x20\x00\x32\x00DS" + len(text).to_bytes(2, "little") + text.encode()
    assert describe(raw + element, ExplicitVRLittleEndian).position_lps is None


def test_old_dates_and_times_become_sortable() -> None:
    # The forms of ACR-NEMA would not match a range.
    raw = encode(minimal(), ExplicitVRLittleEndian)
    old = b"\x08\x00\x20\x00DA\x0a\x001997.04.24" + b"\x08\x00\x30\x00TM\x08\x0010:30:05"
    record = describe(raw + old, ExplicitVRLittleEndian)
    assert (record.study.study_date, record.study.study_time) == ("19970424", "103005")


@pytest.mark.parametrize(
    ("name", "trimmed"),
    [
        *(("DOE^JANE^^^", "DOE^JANE"), ("DOE^JANE^^=山^^==", "DOE^JANE=山"), ("==やまだ", "==やまだ")),
        *((" DOE ^ JANE ", "DOE ^ JANE"), ("DOE^^^DR", "DOE^^^DR"), ("", ""), ("^^^", "")),
    ],
)
def test_names_lose_what_says_nothing(name: str, trimmed: str) -> None:
    # Empty components at the end may be written or not; two spellings of one name are one name.
    assert trim_name(name) == trimmed


def test_a_text_without_end_is_cut() -> None:
    # The index keeps what a person could have meant.
    dataset = minimal()
    dataset.add_new(0x00081030, "UT", "x" * 100_000)
    assert described(dataset).study.study_description == "x" * MAX_TEXT


@pytest.mark.parametrize("keyword", UIDS)
@pytest.mark.parametrize("value", [None, b"", b"1.2.x ", b"../../etc ", b"1." * 40 + b"1 ", b"1.2\\1.3 "])
def test_every_uid_is_demanded(keyword: str, value: bytes | None) -> None:
    # Without its UIDs an instance has no place; what is no UID is named by its attribute, never by its value.
    dataset = minimal()
    tag = pydicom.tag.Tag(keyword)
    del dataset[tag]
    raw = encode(dataset, ExplicitVRLittleEndian)
    if value is not None:
        raw += tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
        raw += b"UI" + len(value).to_bytes(2, "little") + value
    with pytest.raises(MalformedDatasetError, match="UID") as refused:
        describe(raw, ExplicitVRLittleEndian)
    assert "etc" not in str(refused.value)


def test_pixel_data_is_noticed_but_not_copied() -> None:
    # The scan goes over the pixels by their length; a view of memory is enough.
    dataset = minimal()
    raw = encode(dataset, ExplicitVRLittleEndian)
    pixels = b"\xe0\x7f\x10\x00OW\0\0" + (1 << 24).to_bytes(4, "little") + bytes(1 << 24)
    assert describe(memoryview(raw + pixels), ExplicitVRLittleEndian).has_pixel_data
    assert not describe(raw, ExplicitVRLittleEndian).has_pixel_data
    assert not describe(raw + pixels[:8] + bytes(4), ExplicitVRLittleEndian).has_pixel_data


# ---- how many instances a series has


@pytest.mark.parametrize(
    ("attributes", "count"),
    [
        ({}, None),
        ({"ImagesInAcquisition": 31}, 31),
        ({"ImagesInAcquisition": 0}, None),
        ({"ImagesInAcquisition": -4}, None),
        ({"ImagesInAcquisition": 2_000_000_000}, None),
        ({"ImagesInAcquisition": 15, "NumberOfTemporalPositions": 10}, None),
        ({"ImagesInAcquisition": 15, "NumberOfTemporalPositions": 1}, 15),
        ({"ImagesInAcquisition": 15, "NumberOfFrames": 15}, None),
        ({"NumberOfSeriesRelatedInstances": 9, "ImagesInAcquisition": 3}, 9),
        ({"NumberOfSlices": 47, "Modality": "NM"}, None),
        ({"NumberOfSlices": 47, "Modality": "PT"}, None),
        ({"NumberOfSlices": 47, "Modality": "PT", "SeriesType": ["STATIC", "IMAGE"]}, 47),
        (
            {
                "NumberOfSlices": 47,
                "NumberOfTimeSlices": 6,
                "Modality": "PT",
                "SeriesType": ["STATIC", "IMAGE"],
            },
            47,
        ),
        (
            {
                "NumberOfSlices": 47,
                "NumberOfTimeSlices": 6,
                "Modality": "PT",
                "SeriesType": ["DYNAMIC", "IMAGE"],
            },
            282,
        ),
        ({"NumberOfSlices": 47, "Modality": "PT", "SeriesType": ["DYNAMIC", "IMAGE"]}, None),
        (
            {
                "NumberOfSlices": 10,
                "NumberOfRRIntervals": 2,
                "NumberOfTimeSlots": 8,
                "Modality": "PT",
                "SeriesType": ["GATED", "IMAGE"],
            },
            160,
        ),
    ],
)
def test_the_expected_count_is_given_only_where_a_header_is_reliable(
    attributes: dict[str, object], count: int | None
) -> None:
    # Each rule of the docstring, with the cases in which the attribute misleads.
    dataset = minimal()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    assert described(dataset).expected_count == count


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("folder", "count"),
    [
        ("ct_pet_mr_rtstruct/STS_002/PET/image", 48),
        ("ct_pet_mr_rtstruct/STS_025/PET/image", 47),
        ("mr_dwi/01_Ax_DWI_TENSOR_R2", 14),
        ("mr_fmri_4d_ge/20180918GE/mr_0004", None),
    ],
)
def test_the_expected_count_is_true_of_whole_series(corpus: Path, folder: str, count: int | None) -> None:
    # Where real, complete series carry a count, it is the number of their instances.
    files = instance_files(corpus / folder)
    counts = {describe(*split_part10(path)).expected_count for path in files}
    assert counts == {count}
    assert count is None or len(files) == count
