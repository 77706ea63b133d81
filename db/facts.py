"""The evidence for a series' completeness, read from the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, func, select

from db.errors import IndexStateError
from db.records import AssociationOutcome, InstanceGeometry, SeriesFacts
from db.schema import association, instance, revision, series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, RowMapping

_SERIES = (
    select(
        series.c.id,
        series.c.series_instance_uid,
        series.c.modality,
        series.c.instance_count,
        series.c.last_arrival_at,
        series.c.change_count,
        func.coalesce(revision.c.last_instance_id, 0).label("last_instance_id"),
    )
    .select_from(
        series.outerjoin(
            revision, and_(revision.c.series_fk == series.c.id, revision.c.number == series.c.revision)
        )
    )
    .where(series.c.id == bindparam("series_id"))
)
_INSTANCES = (
    select(
        instance.c.id,
        instance.c.sop_instance_uid,
        instance.c.position_lps,
        instance.c.orientation_lps,
        instance.c.expected_count,
        instance.c.association_fk,
    )
    .where(instance.c.series_fk == bindparam("series_id"))
    .order_by(instance.c.id)
)


def read_facts(connection: Connection, series_id: int) -> SeriesFacts:
    """Return what is known of a series.

    Of the associations, those count that sent to the series since its last closed revision.

    Raises
    ------
    IndexStateError
        If there is no such series.
    """
    row = connection.execute(_SERIES, {"series_id": series_id}).one_or_none()
    if row is None:
        raise IndexStateError(f"there is no series {series_id}")
    instances = connection.execute(_INSTANCES, {"series_id": series_id}).mappings().all()
    arrived = {i["association_fk"] for i in instances if i["id"] > row.last_instance_id}
    associations = _read_associations(connection, arrived - {None})
    ends = [a["closed_at"] for a in associations if a["closed_at"] is not None]
    expected = (i["expected_count"] for i in instances if i["expected_count"] is not None)
    return SeriesFacts(
        series_id=row.id,
        series_instance_uid=row.series_instance_uid,
        modality=row.modality,
        instance_count=row.instance_count,
        expected_count=max(expected, default=None),
        open_associations=len(associations) - len(ends),
        broken_associations=sum(_is_broken(a) for a in associations),
        last_arrival_at=row.last_arrival_at,
        last_release_at=max(ends, default=None),
        geometry=tuple(_geometry(i) for i in instances),
        change_count=row.change_count,
    )


def _read_associations(connection: Connection, ids: set[int]) -> Sequence[RowMapping]:
    columns = select(association.c.closed_at, association.c.outcome)
    return connection.execute(columns.where(association.c.id.in_(sorted(ids)))).mappings().all()


def _is_broken(row: RowMapping) -> bool:
    return row["closed_at"] is not None and row["outcome"] != AssociationOutcome.RELEASED.value


def _geometry(row: RowMapping) -> InstanceGeometry:
    return InstanceGeometry(
        sop_instance_uid=row["sop_instance_uid"],
        position_lps=None if row["position_lps"] is None else tuple(row["position_lps"]),
        orientation_lps=None if row["orientation_lps"] is None else tuple(row["orientation_lps"]),
    )
