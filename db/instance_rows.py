"""Rows of instances, read as records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from db.records import StoredFile, StoredInstance
from db.schema import instance, patient, series, study

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Select

SELECT_STORED: Select[Any] = select(
    instance.c.id,
    instance.c.sop_instance_uid,
    instance.c.sop_class_uid,
    instance.c.transfer_syntax_uid,
    instance.c.file_key,
    instance.c.dataset_sha256,
    instance.c.dataset_offset,
    instance.c.dataset_bytes,
    instance.c.has_pixel_data,
    study.c.study_instance_uid,
    series.c.series_instance_uid,
).select_from(instance.join(series).join(study).join(patient))
"""What `read_stored` reads; to be narrowed by conditions on instance, series, study and patient."""


def read_stored(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Any] | None = None
) -> list[StoredInstance]:
    """Return the instances that a narrowed `SELECT_STORED` selects, in its order."""
    return [
        StoredInstance(
            instance_id=row.id,
            sop_instance_uid=row.sop_instance_uid,
            sop_class_uid=row.sop_class_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            file=StoredFile(
                key=row.file_key,
                dataset_sha256=row.dataset_sha256,
                dataset_offset=row.dataset_offset,
                dataset_bytes=row.dataset_bytes,
            ),
            study_instance_uid=row.study_instance_uid,
            series_instance_uid=row.series_instance_uid,
            has_pixel_data=row.has_pixel_data,
        )
        for row in connection.execute(statement, parameters)
    ]
