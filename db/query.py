"""Queries of the Q/R information models, and the search that answers them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import UniqueConstraint, distinct, exists, func, literal, select

from db.errors import QueryError
from db.records import Level
from db.schema import instance, patient, series, study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sqlalchemy import Column, ColumnElement, FromClause, Select, Table

    from db.conditions import Condition
    from db.engine import Engines

FIRST_PAGE: Final = 100
"""How many matches the first page has; each next one is twice as large."""
LARGEST_PAGE: Final = 5_000


class Root(StrEnum):
    """The information models of PS3.4 C.3."""

    PATIENT = "patient"
    STUDY = "study"
    PATIENT_STUDY_ONLY = "patient-study-only"


LEVELS: Final[Mapping[Root, tuple[Level, ...]]] = {
    Root.PATIENT: (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE),
    Root.STUDY: (Level.STUDY, Level.SERIES, Level.IMAGE),
    Root.PATIENT_STUDY_ONLY: (Level.PATIENT, Level.STUDY),
}
"""The levels that each model has, from the top."""

UNIQUE_KEYS: Final[Mapping[Level, str]] = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute that the index can answer."""

    level: Level | None
    """Whose attribute it is; None where every entity has it."""
    vr: str
    shown: ColumnElement[Any]
    """What is answered."""
    matched: Column[Any] | None = None
    """What a condition is compared with; None where the attribute cannot be matched."""
    among: Callable[[ColumnElement[bool]], ColumnElement[bool]] | None = None
    """Turns a condition on `matched` into one on the entity, where `matched` lies below its level."""
    listed: bool = False
    """Whether `shown` is a JSON list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked for: a level, conditions, and the attributes that the answers shall have.

    Parents' unique keys may be missing: the conditions that are there are applied, on this level and above, and
    the answer is all that satisfies them. The standard demands unique keys for all levels above in hierarchical
    queries; many senders leave them out, and the answer is well defined without.

    Raises
    ------
    QueryError
        If the model has no such level.
    """

    level: Level
    root: Root
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    """By DICOM keyword; each in `ATTRIBUTES`, on this level or above."""
    returned: tuple[str, ...] = ()
    """DICOM keywords asked for, each in `ATTRIBUTES`, on this level or above."""
    unsupported: tuple[int, ...] = ()
    """Tags asked for that the index cannot answer; they are returned empty (PS3.4 C.2.2.1.3)."""

    def __post_init__(self) -> None:
        if self.level not in LEVELS[self.root]:
            raise QueryError(f"the {self.root} root model has no level {self.level}", tag="(0008,0052)")
        for keyword in (*self.conditions, *self.returned):
            if not can_answer(keyword, self.level):
                raise QueryError(f"{keyword} cannot be asked for at level {self.level}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One entity that satisfies a query."""

    level: Level
    values: Mapping[str, str]
    """By DICOM keyword: all that were asked for. Absent is empty; several values are joined by backslashes."""


def can_answer(keyword: str, level: Level) -> bool:
    """Whether an entity of this level has the attribute, itself or from its parents."""
    attribute = ATTRIBUTES.get(keyword)
    if attribute is None:
        return False
    return attribute.level is None or _depth(attribute.level) <= _depth(level)


def can_match(keyword: str) -> bool:
    """Whether conditions on the attribute are applied; on others they are ignored (PS3.4 C.2.2.1.3)."""
    return keyword in ATTRIBUTES and ATTRIBUTES[keyword].matched is not None


def search(engines: Engines, query: Query, page_size: int = FIRST_PAGE) -> Iterator[Match]:
    """Yield one match for each entity that satisfies the query, in the order in which they were first stored.

    Matches are read in pages by key. Between two pages no transaction is open, so that a peer that takes its
    answers slowly holds up nobody. What is stored meanwhile may appear.

    Parameters
    ----------
    engines
        Ways into the index.
    query
        What is asked for.
    page_size
        How many matches the first page has.

    Raises
    ------
    StoreError, IndexStateError
        As `db.engine.Engines.read`.
    """
    after = 0
    while True:
        with engines.read() as connection:
            rows = connection.execute(page(query, after=after, size=page_size)).all()
        for row in rows:
            yield Match(level=query.level, values=_values(query, row[1:]))
        if len(rows) < page_size:
            return
        after = rows[-1][0]
        page_size = min(2 * page_size, max(page_size, LARGEST_PAGE))


def page(query: Query, *, after: int, size: int) -> Select[Any]:
    """Return the statement for the matches behind the id `after`: the id, then the values in order.

    The page's ids are found first and its values read afterwards: what is counted or listed for an answer is so
    for the answers of this page alone, not for all that match and are then sorted away.
    """
    table = _TABLES[query.level]
    shown = [ATTRIBUTES[keyword].shown for keyword in query.returned]
    return (
        select(table.c.id, *shown)
        .select_from(_joined(query.level, query.returned))
        .where(table.c.id.in_(_ids(query, after=after, size=size)))
        .order_by(table.c.id)
    )


def _ids(query: Query, *, after: int, size: int) -> Select[Any]:
    """Return the statement for the ids of a page."""
    table = _TABLES[query.level]
    # An expression in the place of the id keeps SQLite from walking the table in the order of ids, which it likes
    # for the sake of the sorting, where another index leads straight to the matches.
    key = table.c.id + 0 if _is_narrow(query) else table.c.id
    statement = select(table.c.id).select_from(_joined(query.level, query.conditions)).where(key > after)
    for keyword, condition in query.conditions.items():
        attribute = ATTRIBUTES[keyword]
        if attribute.matched is not None:
            clause = condition.clause(attribute.matched)
            statement = statement.where(clause if attribute.among is None else attribute.among(clause))
    return statement.order_by(key).limit(size)


def _is_narrow(query: Query) -> bool:
    """Whether a condition of the query is served by an index."""
    return any(
        condition.is_narrow and ATTRIBUTES[keyword].matched in _indexed() and not ATTRIBUTES[keyword].among
        for keyword, condition in query.conditions.items()
    )


@cache
def _indexed() -> frozenset[Column[Any]]:
    """Return the columns with which an index begins."""
    found: set[Column[Any]] = set()
    for table in _TABLES.values():
        found |= {next(iter(index.columns)) for index in table.indexes}
        unique = (each for each in table.constraints if isinstance(each, UniqueConstraint))
        found |= {next(iter(constraint.columns)) for constraint in unique}
    return frozenset(found)


def _joined(level: Level, keywords: Iterable[str]) -> FromClause:
    """Return the level's table with as many of its parents as the attributes need."""
    needed = [ATTRIBUTES[keyword].level or level for keyword in keywords]
    top = min(_depth(each) for each in (level, *needed))
    tables = list(_TABLES.values())[top : _depth(level) + 1]
    joined: FromClause = tables[-1]
    for parent in reversed(tables[:-1]):
        joined = joined.join(parent)
    return joined


def _values(query: Query, row: tuple[Any, ...]) -> dict[str, str]:
    values = {}
    for keyword, value in zip(query.returned, row, strict=True):
        if value is None:
            values[keyword] = ""
        elif ATTRIBUTES[keyword].listed:
            values[keyword] = "\\".join(sorted(each for each in json.loads(value) if each))
        else:
            values[keyword] = str(value)
    return values


_TABLES: Final[dict[Level, Table]] = {
    Level.PATIENT: patient,
    Level.STUDY: study,
    Level.SERIES: series,
    Level.IMAGE: instance,
}


@cache
def _depth(level: Level) -> int:
    return tuple(_TABLES).index(level)


def _plain(level: Level, **columns: str) -> dict[str, Attribute]:
    """Return attributes that are one column each, given as keyword and ``VR column``."""
    found = {}
    for keyword, description in columns.items():
        vr, name = description.split()
        column = _TABLES[level].c[name]
        matched = _TABLES[level].c[f"{name}_folded"] if vr == "PN" else column
        found[keyword] = Attribute(level=level, vr=vr, shown=column, matched=matched)
    return found


def _counted(column: ColumnElement[Any], source: FromClause, owner: Table) -> Attribute:
    shown = select(column).select_from(source).where(_BELOW[owner]).correlate(owner).scalar_subquery()
    return Attribute(level=_LEVEL[owner], vr="IS", shown=shown)


_OF_STUDY = series.c.study_fk == study.c.id
_BELOW = {patient: study.c.patient_fk == patient.c.id, study: _OF_STUDY}
_LEVEL = {table: level for level, table in _TABLES.items()}
_INSTANCES = func.coalesce(func.sum(series.c.instance_count), 0)


def _has_series(clause: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(series.c.id).where(_OF_STUDY, clause).correlate(study))


def _has_instance(clause: ColumnElement[bool]) -> ColumnElement[bool]:
    below = select(instance.c.id).select_from(series.join(instance)).where(_OF_STUDY, clause)
    return exists(below.correlate(study))


def _listed(column: Column[str], source: FromClause) -> ColumnElement[Any]:
    return (
        select(func.json_group_array(distinct(column)))
        .select_from(source)
        .where(_OF_STUDY)
        .correlate(study)
        .scalar_subquery()
    )


ATTRIBUTES: Final[Mapping[str, Attribute]] = {
    **_plain(
        Level.PATIENT,
        PatientID="LO patient_id",
        IssuerOfPatientID="LO issuer_of_patient_id",
        PatientName="PN patient_name",
        PatientBirthDate="DA patient_birth_date",
        PatientSex="CS patient_sex",
    ),
    **_plain(
        Level.STUDY,
        StudyInstanceUID="UI study_instance_uid",
        StudyDate="DA study_date",
        StudyTime="TM study_time",
        AccessionNumber="SH accession_number",
        StudyID="SH study_id",
        StudyDescription="LO study_description",
        ReferringPhysicianName="PN referring_physician_name",
    ),
    **_plain(
        Level.SERIES,
        SeriesInstanceUID="UI series_instance_uid",
        Modality="CS modality",
        SeriesNumber="IS series_number",
        SeriesDescription="LO series_description",
        SeriesDate="DA series_date",
        SeriesTime="TM series_time",
        BodyPartExamined="CS body_part_examined",
        ProtocolName="LO protocol_name",
        Manufacturer="LO manufacturer",
        StationName="SH station_name",
    ),
    **_plain(
        Level.IMAGE,
        SOPInstanceUID="UI sop_instance_uid",
        SOPClassUID="UI sop_class_uid",
        InstanceNumber="IS instance_number",
        ContentDate="DA content_date",
        ContentTime="TM content_time",
        Rows="US rows",
        Columns="US columns",
        BitsAllocated="US bits_allocated",
        NumberOfFrames="IS number_of_frames",
    ),
    "NumberOfPatientRelatedStudies": _counted(func.count(), study, patient),
    "NumberOfPatientRelatedSeries": _counted(func.count(), study.join(series), patient),
    "NumberOfPatientRelatedInstances": _counted(_INSTANCES, study.join(series), patient),
    "NumberOfStudyRelatedSeries": _counted(func.count(), series, study),
    "NumberOfStudyRelatedInstances": _counted(_INSTANCES, series, study),
    "NumberOfSeriesRelatedInstances": Attribute(level=Level.SERIES, vr="IS", shown=series.c.instance_count),
    "ModalitiesInStudy": Attribute(
        level=Level.STUDY,
        vr="CS",
        shown=_listed(series.c.modality, series),
        matched=series.c.modality,
        among=_has_series,
        listed=True,
    ),
    "SOPClassesInStudy": Attribute(
        level=Level.STUDY,
        vr="UI",
        shown=_listed(instance.c.sop_class_uid, series.join(instance)),
        matched=instance.c.sop_class_uid,
        among=_has_instance,
        listed=True,
    ),
    # Whatever is in the index is on the disk of this node.
    "InstanceAvailability": Attribute(level=None, vr="CS", shown=literal("ONLINE")),
}
"""All attributes that the index answers, by DICOM keyword (PS3.4 tables C.6-1 to C.6-5)."""
