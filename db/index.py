"""The index: which instances the node has, who sent them, and where their files are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, update

from db.errors import MalformedDatasetError, QueryError
from db.instance_rows import SELECT_STORED, read_stored
from db.records import AssociationOutcome, Level, Registration, SeriesState
from db.registration import register_instance
from db.schema import association, instance, patient, series, study

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import ColumnElement, Connection

    from db.engine import Engines
    from db.records import InstanceRecord, StoredFile, StoredInstance

_PAGE = 500
_MOST_UIDS = 1000  # SQLite takes 32,766 values a statement

_UNIQUE_KEYS: dict[Level, str] = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
_COLUMNS: dict[str, ColumnElement[str]] = {
    "PatientID": patient.c.patient_id,
    "StudyInstanceUID": study.c.study_instance_uid,
    "SeriesInstanceUID": series.c.series_instance_uid,
    "SOPInstanceUID": instance.c.sop_instance_uid,
}
_ORDER = (study.c.id, series.c.series_number, series.c.id, instance.c.instance_number, instance.c.id)
_BY_UID = SELECT_STORED.where(instance.c.sop_instance_uid == bindparam("sop_instance_uid"))
_BY_PAGE = SELECT_STORED.where(instance.c.id > bindparam("after")).order_by(instance.c.id).limit(_PAGE)


class Index:
    """The index of the data folder."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def open_association(self, calling_ae_title: str, called_ae_title: str, address: str, at: float) -> int:
        """Note that a peer's association was accepted, and return the number it has in the index."""
        values = {
            "calling_ae_title": calling_ae_title,
            "called_ae_title": called_ae_title,
            "address": address,
            "opened_at": at,
        }
        with self._engines.write() as connection:
            return int(
                connection.execute(insert(association).returning(association.c.id), values).scalar_one()
            )

    def close_association(self, association_id: int, outcome: AssociationOutcome, at: float) -> None:
        """Note how an association ended; the intake then looks again at the series that it sent to.

        Closing twice is closing once: the first outcome stays.
        """
        with self._engines.write() as connection:
            _close_associations(connection, association.c.id == association_id, outcome, at)

    def lose_open_associations(self, at: float) -> None:
        """Note, when the node starts, that what was open when it ended is lost."""
        with self._engines.write() as connection:
            _close_associations(connection, association.c.closed_at.is_(None), AssociationOutcome.LOST, at)

    def register(
        self, record: InstanceRecord, file: StoredFile, *, association_id: int | None, at: float
    ) -> Registration:
        """Enter one instance, durably, and return what the index said to it.

        The file must be on stable storage before (`Store.put`). Of all that carry one SOP Instance UID,
        from however many senders, exactly one is `NEW`. `SAME` changes nothing. `CONFLICT` leaves the first
        instance as it is and a row about the refused one; its file may then be discarded.

        Raises
        ------
        MalformedDatasetError
            If a value of the header cannot be kept in the index.
        DiskFullError, StoreError, IndexStateError
            If the row is not durable. The file is left where it is.
        """
        try:
            with self._engines.write() as connection:
                return register_instance(connection, record, file, association_id=association_id, at=at)
        except (OverflowError, UnicodeEncodeError):
            # Not chained: the error of an encoder holds the whole value.
            raise MalformedDatasetError("a number or a character of the header cannot be indexed") from None

    def stored(self, sop_instance_uid: str) -> StoredInstance | None:
        """Return the instance with that UID, or None."""
        with self._engines.read() as connection:
            found = read_stored(connection, _BY_UID, {"sop_instance_uid": sop_instance_uid})
        return found[0] if found else None

    def instances(self, level: Level, uids: Mapping[str, tuple[str, ...]]) -> list[StoredInstance]:
        """Return the instances that a retrieval asks for, each once, series by series.

        Parameters
        ----------
        level
            The level of the retrieval.
        uids
            Values of ``PatientID``, ``StudyInstanceUID``, ``SeriesInstanceUID`` and ``SOPInstanceUID``;
            an instance must have one value of each key that is given. No values select nothing, and so
            does a level without its own key: a retrieval never takes more than was named.

        Raises
        ------
        QueryError
            If there is another key.

        Source
        ------
        PS3.4 C.4.2.2.1 and C.4.3.2.1: retrieval is by unique keys.
        """
        strange = set(uids) - set(_COLUMNS)
        if strange:
            raise QueryError(f"{', '.join(sorted(strange))} cannot select what is retrieved")
        unique_key = _UNIQUE_KEYS[level]
        wanted = list(dict.fromkeys(uids.get(unique_key, ())))
        others = [_COLUMNS[key].in_(values) for key, values in uids.items() if key != unique_key]
        found: list[StoredInstance] = []
        with self._engines.read() as connection:
            for start in range(0, len(wanted), _MOST_UIDS):
                some = wanted[start : start + _MOST_UIDS]
                statement = SELECT_STORED.where(_COLUMNS[unique_key].in_(some), *others).order_by(*_ORDER)
                found += read_stored(connection, statement)
        return found

    def all_instances(self) -> Iterator[StoredInstance]:
        """Yield every instance, in the order they were entered.

        Read in pages: nothing in the index is held while the caller works on one.
        """
        after = 0
        while True:
            with self._engines.read() as connection:
                page = read_stored(connection, _BY_PAGE, {"after": after})
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].instance_id


def _close_associations(
    connection: Connection, which: ColumnElement[bool], outcome: AssociationOutcome, at: float
) -> None:
    closing = which & association.c.closed_at.is_(None)
    sent_to = select(instance.c.series_fk).select_from(instance.join(association)).where(closing)
    connection.execute(
        update(series)
        .where(series.c.id.in_(sent_to), series.c.state == SeriesState.RECEIVING.value)
        .values(look_at=at, change_count=series.c.change_count + 1)
    )
    connection.execute(update(association).where(closing).values(closed_at=at, outcome=outcome.value))
