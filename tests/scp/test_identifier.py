"""Identifiers: pydicom writes the requests and reads the responses, in every transfer syntax they come in."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import decode
from pynetdicom.dsutils import encode as encode_dataset

from db.conditions import MAX_UIDS, Number, Range, SingleValue, UidList, parse_condition
from db.elements import read_elements
from db.errors import QueryError
from db.query import ATTRIBUTES, Match, Query, Root
from db.records import Level
from scp.identifier import MAX_BYTES, read_identifier, read_retrieve_keys, write_identifier

PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_STUDY_ONLY_FIND = "1.2.840.10008.5.1.4.1.2.3.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
PATIENT_ROOT_GET = "1.2.840.10008.5.1.4.1.2.1.3"
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


def request(level: str | None = "STUDY", **keys: Any) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    if level is not None:
        dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def encode(dataset: pydicom.Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    encoded = encode_dataset(dataset, syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    assert encoded is not None
    return encoded


def read_back(encoded: bytes, syntax: str = ExplicitVRLittleEndian) -> pydicom.Dataset:
    return decode(BytesIO(encoded), syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)


def read(dataset: pydicom.Dataset, sop_class_uid: str = STUDY_ROOT_FIND, syntax: str = SYNTAXES[1]) -> Query:
    return read_identifier(encode(dataset, syntax), syntax, sop_class_uid)


def written(query: Query, syntax: str = SYNTAXES[1], **values: str) -> pydicom.Dataset:
    match = Match(level=query.level, values={keyword: values.get(keyword, "") for keyword in query.returned})
    return read_back(write_identifier(match, query, syntax, "DARKROOM"), syntax)


# ---- requests


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_keys_become_conditions_and_empty_ones_are_only_returned(syntax: str) -> None:
    # Text, dates, UIDs and binary numbers are read in each encoding; what is empty or "*" restricts nothing.
    dataset = request(
        "IMAGE",
        PatientID="A1",
        PatientName="*",
        StudyDate="20240101-",
        StudyInstanceUID=["1.2", "1.3"],
        SeriesNumber="7",
        Rows=512,
        SOPInstanceUID="",
        Columns=None,
    )
    query = read(dataset, PATIENT_ROOT_FIND, syntax)
    assert (query.level, query.root, query.unsupported) == (Level.IMAGE, Root.PATIENT, ())
    assert query.conditions == {
        "PatientID": SingleValue("A1"),
        "StudyDate": Range("20240101", ""),
        "StudyInstanceUID": UidList(("1.2", "1.3")),
        "SeriesNumber": Number(7),
        "Rows": Number(512),
    }
    assert set(query.returned) == {*query.conditions, "PatientName", "SOPInstanceUID", "Columns"}


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "山田^太郎"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("GB18030", "王^小东"),
    ],
)
def test_names_are_read_in_the_requests_own_character_set(character_set: str | list[str], name: str) -> None:
    # A ward that types Japanese finds its patients.
    query = read(request(SpecificCharacterSet=character_set, PatientName=name))
    assert query.conditions == {"PatientName": parse_condition("PatientName", "PN", name)}
    assert query.returned == ("PatientName",)


def test_what_the_index_does_not_have_is_ignored_and_named() -> None:
    # Unsupported keys, keys of a lower level and sequences match everything; private ones and lengths are not keys.
    dataset = request(PatientAge="040Y", Modality="CT", StudyID="S1", TimezoneOffsetFromUTC="+0100")
    dataset.RequestAttributesSequence = [request(None, ScheduledProcedureStepID="1")]
    dataset.RetrieveAETitle = ""
    dataset.private_block(0x0009, "CANARY", create=True).add_new(1, "LO", "x")
    dataset.add_new(0x00080000, "UL", 100)
    query = read(dataset)
    assert set(query.conditions) == set(query.returned) == {"StudyID"}
    assert query.unsupported == (0x00080060, 0x00101010, 0x00400275)


def test_counts_are_returned_and_not_matched() -> None:
    # A number that a peer filled in by mistake does not hide the studies.
    query = read(request(NumberOfStudyRelatedSeries="5", InstanceAvailability="OFFLINE"))
    assert query.conditions == {}
    assert set(query.returned) == {"NumberOfStudyRelatedSeries", "InstanceAvailability"}


@pytest.mark.parametrize(
    ("sop_class_uid", "levels"),
    [
        (PATIENT_ROOT_FIND, ["PATIENT", "STUDY", "SERIES", "IMAGE"]),
        (STUDY_ROOT_FIND, ["STUDY", "SERIES", "IMAGE"]),
        (PATIENT_STUDY_ONLY_FIND, ["PATIENT", "STUDY"]),
        ("1.2.840.10008.5.1.4.31", []),
    ],
)
def test_each_model_has_its_levels(sop_class_uid: str, levels: list[str]) -> None:
    # A level that is missing, misspelt or of another model is refused.
    for level in ["PATIENT", "STUDY", "SERIES", "IMAGE", "WORKLIST", "", None]:
        if level in levels:
            assert read(request(level), sop_class_uid).level == level
        else:
            with pytest.raises(QueryError) as refused:
                read(request(level), sop_class_uid)
            assert refused.value.tag in {"(0008,0052)", ""}


def test_a_bad_value_names_its_element_and_not_itself() -> None:
    # The peer gets the Offending Element; the log gets no value.
    with pytest.raises(QueryError) as refused:
        read_identifier(
            encode(request()) + b"\x10\x00\x30\x00DA\x06\x00CANARY", ExplicitVRLittleEndian, STUDY_ROOT_FIND
        )
    assert refused.value.tag == "(0010,0030)"
    assert "CANARY" not in str(refused.value)


@pytest.mark.parametrize("encoded", [b"\x08\x00", encode(request())[:-2], bytes(MAX_BYTES + 1), b""])
def test_an_identifier_that_cannot_be_read_is_refused(encoded: bytes) -> None:
    # Cut off, oversized or absent: an error of ours, whatever came.
    with pytest.raises(QueryError):
        read_identifier(encoded, ExplicitVRLittleEndian, STUDY_ROOT_FIND)
    with pytest.raises(QueryError):
        read_retrieve_keys(encoded, ExplicitVRLittleEndian, STUDY_ROOT_MOVE)


@given(st.binary(max_size=60), st.sampled_from(SYNTAXES))
def test_any_bytes_are_read_or_refused(tail: bytes, syntax: str) -> None:
    # Whatever follows a level, the answer is a query or an error of ours.
    encoded = encode(request("SERIES"), syntax) + tail
    for ask in (read_identifier, read_retrieve_keys):
        try:
            ask(encoded, syntax, STUDY_ROOT_FIND)
        except QueryError:
            continue


def test_a_long_list_of_uids_is_read_whole() -> None:
    # A viewer asks for thousands of images at once; values are not cut as they are for the index.
    uids = [f"1.2.{number}" for number in range(MAX_UIDS)]
    # 16-bit lengths have no room for it.
    query = read(request("IMAGE", SOPInstanceUID=uids), syntax=ImplicitVRLittleEndian)
    assert query.conditions == {"SOPInstanceUID": UidList(tuple(uids))}


# ---- responses


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_response_has_what_was_asked_for_and_where_to_retrieve_it(syntax: str) -> None:
    # pydicom reads every value back; nothing is there that nobody asked for.
    query = read(
        request("IMAGE", PatientName="", Rows=None, StudyInstanceUID="", SeriesNumber="", PatientAge=""),
        PATIENT_ROOT_FIND,
    )
    found = written(
        query, syntax, PatientName="CANARY^ZELDA", Rows="512", StudyInstanceUID="1.2.3", SeriesNumber="4"
    )
    assert found == request(
        "IMAGE",
        PatientName="CANARY^ZELDA",
        Rows=512,
        StudyInstanceUID="1.2.3",
        SeriesNumber="4",
        PatientAge="",
        RetrieveAETitle="DARKROOM",
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_values_beyond_ascii_are_utf8_and_say_so(syntax: str) -> None:
    # Whatever character set the peer asked in and the patient's images came in.
    query = read(request(SpecificCharacterSet="ISO_IR 100", PatientName="M*"))
    found = written(query, syntax, PatientName="Yamada=山田")
    assert found.SpecificCharacterSet == "ISO_IR 192"
    assert found.PatientName == "Yamada=山田"
    assert "SpecificCharacterSet" not in written(query, syntax, PatientName="Yamada")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_several_values_and_odd_lengths_are_written_right(syntax: str) -> None:
    # Lists stay lists; UIDs are padded with NUL and text with a space.
    query = read(request(ModalitiesInStudy="", SOPClassesInStudy="", StudyInstanceUID="", StudyID=""))
    found = written(
        query,
        syntax,
        ModalitiesInStudy="CT\\PT",
        SOPClassesInStudy="1.2\\1.3.4",
        StudyInstanceUID="1.2",
        StudyID="A",
    )
    assert list(found.ModalitiesInStudy) == ["CT", "PT"]
    assert list(found.SOPClassesInStudy) == ["1.2", "1.3.4"]
    assert (found.StudyInstanceUID, found.StudyID) == ("1.2", "A")


def test_uids_are_padded_with_nul_and_text_with_a_space() -> None:
    # Exact comparison on the peer's side fails on the wrong padding (PS3.5 6.2).
    query = read(request(StudyInstanceUID="", StudyID=""))
    match = Match(level=Level.STUDY, values={"StudyInstanceUID": "1.2", "StudyID": "A"})
    encoded = write_identifier(match, query, ExplicitVRLittleEndian, "DARKROOM")
    assert b"UI\x04\x001.2\0" in encoded
    assert b"SH\x02\x00A " in encoded


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_unsupported_keys_are_returned_empty(syntax: str) -> None:
    # Of every VR, sequences and what the dictionary does not know included.
    dataset = request(PatientAge="040Y", RequestAttributesSequence=[], Modality="CT")
    dataset.add_new(0x00280106, "US", 5)
    dataset.add_new(0x00089998, "LO", "x")
    encoded = write_identifier(Match(level=Level.STUDY, values={}), read(dataset), syntax, "DARKROOM")
    found = read_elements(encoded, syntax, None).values
    assert {tag for tag in found if not found[tag].value} == {
        0x00101010,
        0x00400275,
        0x00080060,
        0x00280106,
        0x00089998,
    }


def test_a_list_without_room_ends_early() -> None:
    # A short explicit length holds 64 kB: the list is cut between two values rather than the response lost.
    query = read(request(ModalitiesInStudy=""))
    values = "\\".join(f"M{number:05}" for number in range(20_000))
    found = list(written(query, ModalitiesInStudy=values).ModalitiesInStudy)
    assert len(found) > 9_000
    assert found == values.split("\\")[: len(found)]


@given(
    st.dictionaries(
        st.sampled_from(["PatientID", "PatientName", "StudyDescription"]), st.text("Aä山 ^", max_size=9)
    )
)
def test_what_is_written_is_what_matched(values: dict[str, str]) -> None:
    # Any text goes out and comes back, up to the padding that DICOM does not keep.
    query = read(request(**dict.fromkeys(values, "")))
    found = written(query, **values)
    assert {keyword: str(found[keyword].value or "").rstrip(" ") for keyword in values} == {
        keyword: str(value).rstrip(" ") for keyword, value in values.items()
    }


def test_every_attribute_can_be_asked_for_and_written() -> None:
    # The index's table of attributes and the data dictionary agree on every VR.
    query = read(request("IMAGE", **dict.fromkeys(ATTRIBUTES)), PATIENT_ROOT_FIND)
    assert set(query.returned) == set(ATTRIBUTES)
    found = written(query)
    assert {keyword: found[keyword].VR for keyword in ATTRIBUTES} == {
        keyword: attribute.vr for keyword, attribute in ATTRIBUTES.items()
    }


# ---- retrievals


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_retrieval_is_by_unique_keys(syntax: str) -> None:
    # Those of the level and of the parents that were given; everything else is ignored.
    dataset = request(
        "SERIES", PatientID="A", StudyInstanceUID="1.2", SeriesInstanceUID=["1.3", "1.4"], Modality="CT"
    )
    keys = read_retrieve_keys(encode(dataset, syntax), syntax, PATIENT_ROOT_GET)
    assert keys.level is Level.SERIES
    assert keys.uids == {
        "PatientID": ("A",),
        "StudyInstanceUID": ("1.2",),
        "SeriesInstanceUID": ("1.3", "1.4"),
    }


def test_parents_may_be_missing_and_patients_are_no_parents_in_study_root() -> None:
    # Many senders leave parents out; a Patient ID is no unique key of Study Root.
    dataset = request("IMAGE", PatientID="A", StudyInstanceUID="", SOPInstanceUID="1.5")
    keys = read_retrieve_keys(encode(dataset), ExplicitVRLittleEndian, STUDY_ROOT_MOVE)
    assert keys.uids == {"SOPInstanceUID": ("1.5",)}


@pytest.mark.parametrize(
    ("dataset", "tag"),
    [
        (request("STUDY"), "(0020,000D)"),
        (request("STUDY", StudyInstanceUID=""), "(0020,000D)"),
        (request("STUDY", PatientID="A"), "(0020,000D)"),
        (request("SERIES", StudyInstanceUID="1.2"), "(0020,000E)"),
        (request("IMAGE", SeriesInstanceUID="1.2"), "(0008,0018)"),
        (request("PATIENT", PatientID=""), "(0010,0020)"),
        (request(None, StudyInstanceUID="1.2"), "(0008,0052)"),
    ],
)
def test_a_retrieval_never_takes_more_than_was_named(dataset: pydicom.Dataset, tag: str) -> None:
    # A missing or wild key must not become "everything".
    with pytest.raises(QueryError) as refused:
        read_retrieve_keys(encode(dataset), ExplicitVRLittleEndian, PATIENT_ROOT_GET)
    assert refused.value.tag == tag


@pytest.mark.parametrize("patient_id", ["***", "A?"])
def test_a_patient_may_be_called_by_asterisks(patient_id: str) -> None:
    # Real archives have such Patient IDs; they are retrieved by them, and are no wildcards.
    encoded = encode(request("PATIENT", PatientID=patient_id))
    keys = read_retrieve_keys(encoded, ExplicitVRLittleEndian, PATIENT_ROOT_GET)
    assert keys.uids == {"PatientID": (patient_id,)}


@pytest.mark.parametrize("value", [b"1.2.*\0", b"../x", b"1.2\\x"])
def test_what_is_no_uid_selects_nothing(value: bytes) -> None:
    # UIDs from the wire are checked before anything is done with them.
    element = b"\x20\x00\x0d\x00UI" + len(value).to_bytes(2, "little") + value
    with pytest.raises(QueryError) as refused:
        read_retrieve_keys(encode(request()) + element, ExplicitVRLittleEndian, STUDY_ROOT_MOVE)
    assert refused.value.tag == "(0020,000D)"


def test_a_retrieval_of_too_many_is_refused() -> None:
    # The number of values in one statement is bounded.
    uids = "\\".join(f"1.{number}" for number in range(MAX_UIDS + 1)).encode()
    element = b"\x20\x00\x0d\x00" + len(uids).to_bytes(4, "little") + uids
    encoded = encode(request(), ImplicitVRLittleEndian) + element
    with pytest.raises(QueryError, match="more than"):
        read_retrieve_keys(encoded, ImplicitVRLittleEndian, STUDY_ROOT_MOVE)
