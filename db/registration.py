"""What a new instance does to the index, inside somebody's transaction.

The transaction is IMMEDIATE, so between the question "is this UID known?" and the answer's consequence nobody
else writes; the unique constraints stand behind it all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update

from db.folding import fold
from db.identity import patient_identity_key
from db.records import Registration, SeriesState
from db.schema import conflict, instance, patient, series, study

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping, Select, Table

    from db.records import InstanceRecord, PatientRecord, SeriesRecord, StoredFile, StudyRecord

_KNOWN = select(
    instance.c.id, instance.c.series_fk, instance.c.transfer_syntax_uid, instance.c.dataset_sha256
).where(instance.c.sop_instance_uid == bindparam("sop_instance_uid"))

_SERIES = (
    select(series.c.id)
    .select_from(series.join(study).join(patient))
    .where(
        series.c.series_instance_uid == bindparam("series_instance_uid"),
        study.c.study_instance_uid == bindparam("study_instance_uid"),
        patient.c.identity_key == bindparam("identity_key"),
    )
)
_PATIENT = select(patient.c.id).where(patient.c.identity_key == bindparam("identity_key"))
_STUDY = select(study.c.id).where(
    study.c.study_instance_uid == bindparam("study_instance_uid"),
    study.c.patient_fk == bindparam("patient_fk"),
)
_ARRIVAL = (
    update(series)
    .where(series.c.id == bindparam("series_id"))
    .values(
        instance_count=series.c.instance_count + 1,
        # A late image opens a closed series again; the revision stays the one last closed.
        state=SeriesState.RECEIVING.value,
        last_arrival_at=bindparam("at"),
        look_at=bindparam("at"),
        change_count=series.c.change_count + 1,
    )
)
_REFUSAL = (
    update(series)
    .where(series.c.id == bindparam("series_id"))
    .values(conflict_count=series.c.conflict_count + 1)
)


def register_instance(
    connection: Connection, record: InstanceRecord, file: StoredFile, *, association_id: int | None, at: float
) -> Registration:
    """Enter one instance whose file is on stable storage, and return what the index said to it.

    Parameters
    ----------
    connection
        In an IMMEDIATE transaction of the writer; several instances may share it.
    record, file
        The header and the file of the same data set.
    association_id
        The association that sent it, or None.
    at
        When it arrived, in seconds since the epoch.
    """
    known = connection.execute(_KNOWN, {"sop_instance_uid": record.sop_instance_uid}).mappings().one_or_none()
    if known is not None:
        return _register_again(connection, known, record, file, association_id=association_id, at=at)
    series_id = _find_or_make_series(connection, record, at)
    values = _instance_values(record) | _file_values(file)
    values |= {"series_fk": series_id, "association_fk": association_id, "received_at": at}
    connection.execute(insert(instance), values)
    connection.execute(_ARRIVAL, {"series_id": series_id, "at": at})
    return Registration.NEW


def _register_again(
    connection: Connection,
    known: RowMapping,
    record: InstanceRecord,
    file: StoredFile,
    *,
    association_id: int | None,
    at: float,
) -> Registration:
    same_bytes = file.dataset_sha256 == known["dataset_sha256"]
    if same_bytes and record.transfer_syntax_uid == known["transfer_syntax_uid"]:
        return Registration.SAME
    values = {
        "instance_fk": known["id"],
        "transfer_syntax_uid": record.transfer_syntax_uid,
        "dataset_sha256": file.dataset_sha256,
        "association_fk": association_id,
        "refused_at": at,
    }
    connection.execute(insert(conflict), values)
    connection.execute(_REFUSAL, {"series_id": known["series_fk"]})
    return Registration.CONFLICT


def _find_or_make_series(connection: Connection, record: InstanceRecord, at: float) -> int:
    identity_key = patient_identity_key(record.patient, record.study)
    keys = {
        "series_instance_uid": record.series.series_instance_uid,
        "study_instance_uid": record.study.study_instance_uid,
        "identity_key": identity_key,
    }
    series_id = connection.execute(_SERIES, keys).scalar_one_or_none()
    if series_id is not None:
        return int(series_id)
    patient_id = _find_or_make(
        connection, _PATIENT, patient, {"identity_key": identity_key}, _patient_values(record.patient)
    )
    study_keys = {"study_instance_uid": record.study.study_instance_uid, "patient_fk": patient_id}
    study_id = _find_or_make(connection, _STUDY, study, study_keys, _study_values(record.study))
    values = _series_values(record.series) | {"study_fk": study_id, "last_arrival_at": at}
    return _make(connection, series, values)


def _find_or_make(
    connection: Connection, find: Select[int], table: Table, keys: dict[str, Any], values: dict[str, Any]
) -> int:
    found = connection.execute(find, keys).scalar_one_or_none()
    return _make(connection, table, keys | values) if found is None else int(found)


def _make(connection: Connection, table: Table, values: dict[str, Any]) -> int:
    return int(connection.execute(insert(table).returning(table.c.id), values).scalar_one())


def _patient_values(record: PatientRecord) -> dict[str, Any]:
    return {
        "patient_id": record.patient_id,
        "issuer_of_patient_id": record.issuer_of_patient_id,
        "patient_name": record.patient_name,
        "patient_name_folded": fold(record.patient_name),
        "patient_birth_date": record.patient_birth_date,
        "patient_sex": record.patient_sex,
    }


def _study_values(record: StudyRecord) -> dict[str, Any]:
    return {
        "study_date": record.study_date,
        "study_time": record.study_time,
        "accession_number": record.accession_number,
        "study_id": record.study_id,
        "study_description": record.study_description,
        "referring_physician_name": record.referring_physician_name,
        "referring_physician_name_folded": fold(record.referring_physician_name),
    }


def _series_values(record: SeriesRecord) -> dict[str, Any]:
    return {
        "series_instance_uid": record.series_instance_uid,
        "modality": record.modality,
        "series_number": record.series_number,
        "series_description": record.series_description,
        "series_date": record.series_date,
        "series_time": record.series_time,
        "body_part_examined": record.body_part_examined,
        "protocol_name": record.protocol_name,
        "manufacturer": record.manufacturer,
        "station_name": record.station_name,
    }


def _instance_values(record: InstanceRecord) -> dict[str, Any]:
    return {
        "sop_instance_uid": record.sop_instance_uid,
        "sop_class_uid": record.sop_class_uid,
        "transfer_syntax_uid": record.transfer_syntax_uid,
        "instance_number": record.instance_number,
        "content_date": record.content_date,
        "content_time": record.content_time,
        "rows": record.rows,
        "columns": record.columns,
        "bits_allocated": record.bits_allocated,
        "number_of_frames": record.number_of_frames,
        "position_lps": record.position_lps,
        "orientation_lps": record.orientation_lps,
        "expected_count": record.expected_count,
        "has_pixel_data": record.has_pixel_data,
    }


def _file_values(file: StoredFile) -> dict[str, Any]:
    return {
        "file_key": file.key,
        "dataset_sha256": file.dataset_sha256,
        "dataset_offset": file.dataset_offset,
        "dataset_bytes": file.dataset_bytes,
    }
