"""Queries on a small hospital in several character sets, on real SQLite, and the indexes that serve them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy.dialects import sqlite

from db import query as query_module
from db.conditions import parse_condition
from db.engine import migrate, open_engines
from db.errors import QueryError
from db.header import describe
from db.index import Index
from db.query import ATTRIBUTES, LEVELS, UNIQUE_KEYS, Query, Root, can_answer, can_match, page, search
from db.records import Level, StoredFile
from tests.db.part10 import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from db.engine import Engines

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SR_DOCUMENT = "1.2.840.10008.5.1.4.1.1.88.22"

# study -> attributes; each has two series of CT (2 and 1 images) and the first also a report
STUDIES: dict[str, dict[str, Any]] = {
    "1.1": {
        "PatientName": "Canary^Zelda^^^",
        "PatientID": "100%",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "StudyDate": "20240115",
        "StudyTime": "101500.25",
        "AccessionNumber": "A_1",
        "StudyDescription": "Head [plain]",
        "ReferringPhysicianName": "Åse^Björn",
    },
    "1.2": {
        "PatientName": "Canary^Zelda",
        "PatientID": "100%",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "StudyDate": "20240229",
        "StudyTime": "1230",
        "AccessionNumber": "AB1",
        "StudyDescription": "Thorax",
    },
    "1.3": {
        "SpecificCharacterSet": "ISO_IR 100",
        "PatientName": "Müller^Jörg",
        "PatientID": "1000",
        "IssuerOfPatientID": "WARD_7",
        "StudyDate": "20231231",
        "StudyTime": "235959",
        "AccessionNumber": "a_1",
    },
    "1.4": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "PatientID": "J1",
        "StudyDate": "20240301",
        "StudyTime": "00",
    },
    "1.5": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Люкceмбypг", "PatientID": "R1"},  # noqa: RUF001
    "1.6": {},
}


def instances() -> Iterator[pydicom.Dataset]:
    """The hospital's instances, in the order of their arrival."""
    for study, attributes in STUDIES.items():
        for series, images in ((1, 2), (2, 1)):
            for image in range(1, images + 1):
                dataset = pydicom.Dataset()
                dataset.update(attributes)
                dataset.StudyInstanceUID = study
                dataset.SeriesInstanceUID = f"{study}.{series}"
                dataset.SOPInstanceUID = f"{study}.{series}.{image}"
                dataset.SOPClassUID = CT_IMAGE
                dataset.Modality = "CT" if series == 1 or study != "1.1" else "SR"
                if dataset.Modality == "SR":
                    dataset.SOPClassUID = SR_DOCUMENT
                else:
                    dataset.Rows = dataset.Columns = 512
                dataset.SeriesNumber = series
                dataset.InstanceNumber = image
                dataset.SeriesDescription = f"Series {series}"
                yield dataset


def register(index: Index, dataset: pydicom.Dataset, at: float) -> None:
    record = describe(encode(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    file = StoredFile(key="0" * 64, dataset_sha256="0" * 64, dataset_offset=132, dataset_bytes=1)
    index.register(record, file, association_id=None, at=at)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """The hospital's index; read only, so that the tests may share it."""
    folder: Path = tmp_path_factory.mktemp("index")
    migrate(folder)
    opened = open_engines(folder)
    for at, dataset in enumerate(instances()):
        register(Index(opened), dataset, at)
    yield opened
    opened.close()


def ask(level: Level, returned: tuple[str, ...] = (), root: Root = Root.PATIENT, **keys: str) -> Query:
    conditions = {
        keyword: parse_condition(keyword, ATTRIBUTES[keyword].vr, key) for keyword, key in keys.items()
    }
    return Query(level=level, root=root, conditions=conditions, returned=returned)


QUERIES: list[tuple[Level, dict[str, str], list[str]]] = [
    (Level.STUDY, {}, ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6"]),
    (Level.STUDY, {"StudyInstanceUID": "1.2"}, ["1.2"]),
    (Level.STUDY, {"StudyInstanceUID": "1.4\\1.2\\9.9"}, ["1.2", "1.4"]),
    (Level.STUDY, {"StudyInstanceUID": ""}, ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6"]),
    (Level.STUDY, {"PatientID": "100%"}, ["1.1", "1.2"]),
    (Level.STUDY, {"PatientID": "100%*"}, ["1.1", "1.2"]),
    (Level.STUDY, {"PatientID": "100?"}, ["1.1", "1.2", "1.3"]),
    (Level.STUDY, {"AccessionNumber": "A_1"}, ["1.1"]),
    (Level.STUDY, {"AccessionNumber": "A_*"}, ["1.1"]),
    (Level.STUDY, {"AccessionNumber": "?_1"}, ["1.1", "1.3"]),
    (Level.STUDY, {"AccessionNumber": "A*"}, ["1.1", "1.2"]),
    (Level.STUDY, {"StudyDescription": "*[*"}, ["1.1"]),
    (Level.STUDY, {"PatientName": "canary*"}, ["1.1", "1.2"]),
    (Level.STUDY, {"PatientName": "CANARY^ZELDA"}, ["1.1", "1.2"]),
    (Level.STUDY, {"PatientName": "MULLER^JORG"}, ["1.3"]),
    (Level.STUDY, {"PatientName": "yamada^tarou"}, ["1.4"]),
    (Level.STUDY, {"PatientName": "山田*"}, ["1.4"]),
    (Level.STUDY, {"PatientName": "люк*"}, ["1.5"]),
    (Level.STUDY, {"PatientName": "?*"}, ["1.1", "1.2", "1.3", "1.4", "1.5"]),
    (Level.STUDY, {"ReferringPhysicianName": "ASE*"}, ["1.1"]),
    (Level.STUDY, {"IssuerOfPatientID": "WARD?7"}, ["1.3"]),
    (Level.STUDY, {"PatientSex": "F"}, ["1.1", "1.2"]),
    (Level.STUDY, {"PatientBirthDate": "-19991231"}, ["1.1", "1.2"]),
    (Level.STUDY, {"StudyDate": "20240101-20240229"}, ["1.1", "1.2"]),
    (Level.STUDY, {"StudyDate": "20240229-"}, ["1.2", "1.4"]),
    (Level.STUDY, {"StudyDate": "-20240115"}, ["1.1", "1.3"]),
    (Level.STUDY, {"StudyTime": "10-12"}, ["1.1", "1.2"]),
    (Level.STUDY, {"StudyTime": "2300-"}, ["1.3"]),
    (Level.STUDY, {"StudyTime": "-01"}, ["1.4"]),
    (Level.STUDY, {"StudyDate": "20240101-", "StudyTime": "12-"}, ["1.2"]),
    (Level.STUDY, {"ModalitiesInStudy": "SR"}, ["1.1"]),
    (Level.STUDY, {"ModalitiesInStudy": "SR\\PT"}, ["1.1"]),
    (Level.STUDY, {"ModalitiesInStudy": "PT"}, []),
    (Level.STUDY, {"SOPClassesInStudy": SR_DOCUMENT}, ["1.1"]),
    (Level.STUDY, {"PatientName": "' OR 1=1 --"}, []),
    (Level.PATIENT, {"PatientName": "*"}, ["100%", "1000", "J1", "R1", ""]),
    (Level.PATIENT, {"PatientID": "100%"}, ["100%"]),
    (Level.SERIES, {"StudyInstanceUID": "1.1"}, ["1.1.1", "1.1.2"]),
    (Level.SERIES, {"StudyInstanceUID": "1.1", "Modality": "SR"}, ["1.1.2"]),
    (Level.SERIES, {"Modality": "S?"}, ["1.1.2"]),
    (Level.SERIES, {"PatientID": "100%", "SeriesNumber": "01"}, ["1.1.1", "1.2.1"]),
    (Level.SERIES, {"StudyInstanceUID": "1.1", "ModalitiesInStudy": "SR"}, ["1.1.1", "1.1.2"]),
    (Level.SERIES, {"StudyInstanceUID": "1.1", "SOPClassesInStudy": SR_DOCUMENT}, ["1.1.1", "1.1.2"]),
    (Level.IMAGE, {"SeriesInstanceUID": "1.1.1", "SOPClassesInStudy": SR_DOCUMENT}, ["1.1.1.1", "1.1.1.2"]),
    (Level.SERIES, {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.1.1"}, []),
    (Level.IMAGE, {"SeriesInstanceUID": "1.1.1"}, ["1.1.1.1", "1.1.1.2"]),
    (Level.IMAGE, {"SeriesInstanceUID": "1.1.1", "InstanceNumber": "2"}, ["1.1.1.2"]),
    (Level.IMAGE, {"StudyInstanceUID": "1.1", "Rows": "512"}, ["1.1.1.1", "1.1.1.2"]),
    (Level.IMAGE, {"PatientName": "canary^*", "SOPClassUID": SR_DOCUMENT}, ["1.1.2.1"]),
    (Level.IMAGE, {"SOPInstanceUID": "1.3.1.1\\1.1.2.1"}, ["1.1.2.1", "1.3.1.1"]),
]


@pytest.mark.parametrize(
    ("level", "keys", "found"), QUERIES, ids=[f"{level}-{keys}" for level, keys, _found in QUERIES]
)
def test_queries_find_what_they_describe(
    engines: Engines, level: Level, keys: dict[str, str], found: list[str]
) -> None:
    # One answer for each entity, none for others, in the order of arrival.
    query = ask(level, (UNIQUE_KEYS[level],), **keys)
    assert [match.values[UNIQUE_KEYS[level]] for match in search(engines, query)] == found


def test_python_finds_the_same_among_the_studies(engines: Engines) -> None:
    # What routes decide in Python is what queries find: both read the attributes that the index gives back.
    keywords = tuple(
        keyword
        for keyword in ATTRIBUTES
        if can_answer(keyword, Level.STUDY) and not ATTRIBUTES[keyword].listed and can_match(keyword)
    )
    studies = [match.values for match in search(engines, ask(Level.STUDY, keywords))]
    for level, keys, found in QUERIES:
        if level is Level.STUDY and set(keys) <= set(keywords):
            conditions = ask(level, **keys).conditions
            fitting = [
                study["StudyInstanceUID"]
                for study in studies
                if all(conditions[keyword].matches(study[keyword]) for keyword in conditions)
            ]
            assert fitting == found, keys


def first(engines: Engines, query: Query) -> dict[str, str]:
    return dict(next(search(engines, query)).values)


def test_every_attribute_is_answered(engines: Engines) -> None:
    # All that the tables of PS3.4 C.6 name and the index has, at the lowest level; nothing else is in the answer.
    query = ask(Level.IMAGE, tuple(ATTRIBUTES), SOPInstanceUID="1.1.1.2")
    assert first(engines, query) == {
        "PatientID": "100%",
        "IssuerOfPatientID": "",
        "PatientName": "Canary^Zelda",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "StudyInstanceUID": "1.1",
        "StudyDate": "20240115",
        "StudyTime": "101500.25",
        "AccessionNumber": "A_1",
        "StudyID": "",
        "StudyDescription": "Head [plain]",
        "ReferringPhysicianName": "Åse^Björn",
        "SeriesInstanceUID": "1.1.1",
        "Modality": "CT",
        "SeriesNumber": "1",
        "SeriesDescription": "Series 1",
        "SeriesDate": "",
        "SeriesTime": "",
        "BodyPartExamined": "",
        "ProtocolName": "",
        "Manufacturer": "",
        "StationName": "",
        "SOPInstanceUID": "1.1.1.2",
        "SOPClassUID": CT_IMAGE,
        "InstanceNumber": "2",
        "ContentDate": "",
        "ContentTime": "",
        "Rows": "512",
        "Columns": "512",
        "BitsAllocated": "",
        "NumberOfFrames": "",
        "NumberOfPatientRelatedStudies": "2",
        "NumberOfPatientRelatedSeries": "4",
        "NumberOfPatientRelatedInstances": "6",
        "NumberOfStudyRelatedSeries": "2",
        "NumberOfStudyRelatedInstances": "3",
        "NumberOfSeriesRelatedInstances": "2",
        "ModalitiesInStudy": "CT\\SR",
        "SOPClassesInStudy": f"{CT_IMAGE}\\{SR_DOCUMENT}",
        "InstanceAvailability": "ONLINE",
    }


@pytest.mark.parametrize("level", Level)
def test_every_level_answers_its_attributes_and_those_above(engines: Engines, level: Level) -> None:
    # The same entity gives the same values at each level: a computed one is not confused by the joins around it.
    keywords = tuple(keyword for keyword in ATTRIBUTES if can_answer(keyword, level))
    lowest = first(engines, ask(Level.IMAGE, tuple(ATTRIBUTES), SOPInstanceUID="1.1.1.1"))
    query = ask(level, keywords, **{UNIQUE_KEYS[level]: lowest[UNIQUE_KEYS[level]]})
    assert first(engines, query) == {keyword: lowest[keyword] for keyword in keywords}


def test_counts_are_computed_only_when_asked_for() -> None:
    # A worklist of a thousand studies does not count a thousand times for nobody.
    plain = str(
        page(ask(Level.STUDY, ("StudyInstanceUID",)), after=0, size=1).compile(dialect=sqlite.dialect())
    )
    assert "count" not in plain
    assert "patient" not in plain.replace("patient_fk", "")
    counted = ask(Level.STUDY, ("NumberOfStudyRelatedSeries",))
    assert "count(*)" in str(page(counted, after=0, size=1).compile(dialect=sqlite.dialect()))


@pytest.mark.parametrize("page_size", [1, 2, 5, 6, 7, 100])
def test_pages_lose_and_repeat_nothing(
    engines: Engines, page_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However the answers are cut into pages, they are the same.
    monkeypatch.setattr(query_module, "LARGEST_PAGE", 3)
    query = ask(Level.STUDY, ("StudyInstanceUID",))
    found = [match.values["StudyInstanceUID"] for match in search(engines, query, page_size=page_size)]
    assert found == list(STUDIES)


def test_nothing_is_open_between_pages(engines: Engines) -> None:
    # A peer that stops reading holds no transaction: the write-ahead log can be reused meanwhile.
    for _match in search(engines, ask(Level.IMAGE, ("SOPInstanceUID",)), page_size=2):
        assert engines.reader.pool.checkedout() == 0


def test_all_matches_in_the_order_of_ids_need_no_sorting(engines: Engines) -> None:
    # Without a condition that an index serves, the pages of a large answer follow each other in one walk.
    for query in (ask(Level.STUDY), ask(Level.STUDY, PatientName="*ZELDA")):
        assert "ORDER BY" not in plan(engines, query)


def test_one_study_uid_of_two_patients_is_two_answers(tmp_path: Path) -> None:
    # Two patients who claim one study are not merged; the peer sees both, each with its own name.
    migrate(tmp_path)
    engines = open_engines(tmp_path)
    for number, name in enumerate(("CANARY^A", "CANARY^B")):
        dataset = next(instances())
        dataset.PatientID, dataset.PatientName = f"P{number}", name
        dataset.SOPInstanceUID = f"1.9.{number}"
        register(Index(engines), dataset, number)
    query = ask(Level.STUDY, ("PatientName",), StudyInstanceUID="1.1")
    assert [match.values["PatientName"] for match in search(engines, query)] == ["CANARY^A", "CANARY^B"]
    engines.close()


@pytest.mark.parametrize("root", Root)
def test_a_model_has_its_own_levels(root: Root) -> None:
    # Study Root has no patients, and Patient/Study Only ends with studies.
    for level in Level:
        if level in LEVELS[root]:
            assert Query(level=level, root=root).level is level
        else:
            with pytest.raises(QueryError) as refused:
                Query(level=level, root=root)
            assert refused.value.tag == "(0008,0052)"


def test_a_query_asks_for_nothing_below_its_level() -> None:
    # A study has no single modality; a reader of requests must not let it through.
    with pytest.raises(QueryError):
        ask(Level.STUDY, ("Modality",))
    with pytest.raises(QueryError):
        ask(Level.PATIENT, StudyDate="20240101")


def plan(engines: Engines, query: Query) -> str:
    """SQLite's plan for the first page."""
    with engines.read() as connection:
        compiled = page(query, after=0, size=100).compile(
            dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True}
        )
        parameters = tuple(compiled.params[name] for name in compiled.positiontup or ())
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", parameters).all()
    return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize(
    ("query", "searched"),
    [
        (ask(Level.PATIENT, ("PatientName",), PatientID="A"), "(patient_id"),
        (ask(Level.PATIENT, ("PatientID",), PatientName="CANARY*"), "(patient_name_folded"),
        (ask(Level.PATIENT, ("PatientID",), PatientName="CANARY^ZELDA"), "(patient_name_folded"),
        (ask(Level.STUDY, ("StudyInstanceUID",), PatientID="A"), "(patient_id"),
        (ask(Level.STUDY, ("StudyInstanceUID",), PatientID="A*"), "(patient_id"),
        (ask(Level.STUDY, ("StudyInstanceUID",), PatientName="CANARY*"), "(patient_name_folded"),
        (
            ask(Level.STUDY, ("StudyInstanceUID",), PatientName="CANARY^ZELDA"),
            "(patient_name_folded",
        ),
        (ask(Level.STUDY, ("StudyDate",), StudyInstanceUID="1.1"), "(study_instance_uid=?"),
        (ask(Level.STUDY, ("StudyDate",), StudyInstanceUID="1.1\\1.2"), "(study_instance_uid=?"),
        (ask(Level.STUDY, ("StudyInstanceUID",), StudyDate="20240101"), "(study_date"),
        (ask(Level.STUDY, ("StudyInstanceUID",), StudyDate="20240101-20240107"), "(study_date"),
        (ask(Level.STUDY, ("StudyInstanceUID",), AccessionNumber="A1"), "(accession_number=?"),
        (
            ask(Level.STUDY, ("StudyInstanceUID",), StudyDate="20240101", ModalitiesInStudy="CT"),
            "(study_date",
        ),
        (ask(Level.SERIES, ("Modality",), StudyInstanceUID="1.1"), "(study_instance_uid=?"),
        (ask(Level.SERIES, ("Modality",), SeriesInstanceUID="1.1.1"), "(series_instance_uid=?"),
        (ask(Level.IMAGE, ("SOPInstanceUID",), SeriesInstanceUID="1.1.1"), "(series_instance_uid=?"),
        (ask(Level.IMAGE, ("SOPInstanceUID",), SOPInstanceUID="1.1.1.1"), "(sop_instance_uid=?"),
        (
            ask(
                Level.IMAGE,
                ("SOPInstanceUID",),
                PatientID="A",
                StudyInstanceUID="1.1",
                SeriesInstanceUID="1.1.1",
            ),
            "(series_instance_uid=?",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.level}-{'-'.join(value.conditions)}",
)
def test_common_queries_are_served_by_an_index(engines: Engines, query: Query, searched: str) -> None:
    # No common query walks a whole table: its time does not grow with the archive.
    steps = plan(engines, query)
    assert searched in steps
    assert "SCAN" not in steps
    assert "(rowid>?)" not in steps


@pytest.mark.parametrize(
    "keyword",
    [
        "NumberOfPatientRelatedInstances",
        "NumberOfStudyRelatedInstances",
        "ModalitiesInStudy",
        "SOPClassesInStudy",
    ],
)
def test_what_is_counted_below_is_found_by_an_index(engines: Engines, keyword: str) -> None:
    # Counting one study's images does not read the images of all.
    steps = plan(engines, ask(Level.STUDY, (keyword,), StudyInstanceUID="1.1"))
    assert "SCAN" not in steps
    assert "ix_series_study_fk" in steps
