"""Records of the index for tests: invented patients, UIDs made from numbers."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from db.engine import Engines, migrate, open_engines
from db.records import InstanceRecord, PatientRecord, SeriesRecord, StoredFile, StudyRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UID_ROOT = "1.2.826.0.1.3680043.8.498.77"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

_OF_PATIENT = frozenset(PatientRecord.__slots__)
_OF_STUDY = frozenset(StudyRecord.__slots__)
_OF_SERIES = frozenset(SeriesRecord.__slots__)


@contextmanager
def new_index(folder: Path) -> Iterator[Engines]:
    """The engines of an empty index in `folder`, closed at the end."""
    migrate(folder)
    engines = open_engines(folder)
    try:
        yield engines
    finally:
        engines.close()


def sop_instance_uid(number: int, series: int = 1) -> str:
    """A SOP Instance UID for the instance `number` of series `series`."""
    return f"{UID_ROOT}.{series}.{number}"


def instance_record(**changes: Any) -> InstanceRecord:
    """A CT instance's record; `changes` names fields of any level: ``patient_id="A"``, ``rows=64``."""
    record = InstanceRecord(
        sop_instance_uid=sop_instance_uid(1),
        sop_class_uid=CT_IMAGE_STORAGE,
        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
        patient=PatientRecord(
            patient_id="CANARY-1",
            patient_name="Zaunkönig^Örtwin",
            patient_birth_date="19030405",
            patient_sex="O",
        ),
        study=StudyRecord(
            study_instance_uid=f"{UID_ROOT}.1000",
            study_date="20240102",
            study_time="101112",
            accession_number="ACC1",
            study_id="S1",
            study_description="Canary study",
            referring_physician_name="Häher^Ina",
        ),
        series=SeriesRecord(
            series_instance_uid=f"{UID_ROOT}.1001",
            modality="CT",
            series_number=3,
            series_description="Canary series",
            series_date="20240102",
            series_time="101213",
            body_part_examined="CHEST",
            protocol_name="Canary protocol",
            manufacturer="Birdcage",
            station_name="NEST1",
        ),
        instance_number=1,
        rows=512,
        columns=512,
        bits_allocated=16,
        position_lps=(-120.0, -100.5, 40.0),
        orientation_lps=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        has_pixel_data=True,
    )
    patient, study, series = (_take(changes, names) for names in (_OF_PATIENT, _OF_STUDY, _OF_SERIES))
    return replace(
        record,
        patient=replace(record.patient, **patient),
        study=replace(record.study, **study),
        series=replace(record.series, **series),
        **changes,
    )


def stored_file(content: bytes = b"content", **changes: Any) -> StoredFile:
    """What the store would say of `content`; there is no such file."""
    digest = hashlib.sha256(content).hexdigest()
    file = StoredFile(
        key=hashlib.sha256(b"key" + content).hexdigest(),
        dataset_sha256=digest,
        dataset_offset=300,
        dataset_bytes=len(content),
    )
    return replace(file, **changes)


def _take(changes: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: changes.pop(name) for name in sorted(names & changes.keys())}
