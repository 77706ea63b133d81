"""C-STORE: an instance is kept and indexed, durably, before it is acknowledged (PS3.4 Annex B).

The data set is kept byte for byte as it came. Whatever cannot be kept is answered with a failure status.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from db.header import describe
from db.identity import check_uid
from db.records import Registration
from scp.contexts import Service
from scp.errors import ConflictError, LowDiskError, MismatchError, NotAuthorisedError
from scp.status import SUCCESS

if TYPE_CHECKING:
    from config.settings import Storage
    from db.index import Index
    from db.records import InstanceRecord
    from db.store import Store
    from scp.exchange import Exchange
    from scp.session import Session


class StoreServant:
    """Keeps what peers send.

    Parameters
    ----------
    store
        Takes the bytes.
    index
        Takes the attributes.
    storage
        How much of the disk is left alone.
    """

    def __init__(self, store: Store, index: Index, storage: Storage) -> None:
        self._store = store
        self._index = index
        self._storage = storage

    def serve(self, exchange: Exchange) -> None:
        """Keep the instance and acknowledge it.

        Raises
        ------
        NotAuthorisedError, SopClassError, IdentityError, MismatchError, ConflictError, LowDiskError
            If it is refused.
        MalformedDatasetError
            If the bytes are not a data set.
        DbError
            If it could not be kept; nothing of it is listed.
        """
        session = exchange.session
        if not session.may(Service.STORE) or not exchange.is_peer_scu:
            raise NotAuthorisedError("The peer may not store")
        exchange.check_sop_class()
        sop_instance_uid = check_uid(exchange.sop_instance_uid)
        dataset = exchange.dataset
        self._check_space(len(dataset))
        record = describe(dataset, exchange.transfer_syntax_uid)
        _check_match(record, exchange.sop_class_uid, sop_instance_uid)
        self._keep(dataset, record, session)
        session.stored_count += 1
        session.stored_bytes += len(dataset)
        session.log.debug(
            "instance stored",
            sop_class_uid=record.sop_class_uid,
            transfer_syntax_uid=record.transfer_syntax_uid,
            bytes=len(dataset),
        )
        exchange.respond(SUCCESS)

    def _check_space(self, wanted_bytes: int) -> None:
        free_bytes, free_fraction = self._store.free()
        if (
            free_bytes - wanted_bytes < self._storage.free_bytes
            or free_fraction < self._storage.free_fraction
        ):
            raise LowDiskError(
                "Too little disk space is free",
                hint="Free some space below storage.folder; storing goes on by itself.",
            )

    def _keep(self, dataset: bytes, record: InstanceRecord, session: Session) -> None:
        file = self._store.put(
            dataset,
            sop_class_uid=record.sop_class_uid,
            sop_instance_uid=record.sop_instance_uid,
            transfer_syntax_uid=record.transfer_syntax_uid,
        )
        at = time.time()
        # If this raises, the file stays as an orphan that nobody lists: a row of the same bytes may name it, or be
        # about to. Being named after its bytes, it does not multiply when the sender tries again.
        registration = self._index.register(record, file, association_id=session.row(at), at=at)
        if registration is Registration.CONFLICT:
            self._store.discard(file)
            raise ConflictError("The SOP Instance UID is taken by other content")


def _check_match(record: InstanceRecord, sop_class_uid: str, sop_instance_uid: str) -> None:
    if record.sop_instance_uid != sop_instance_uid:
        raise MismatchError("The data set has another SOP Instance UID than the command")
    if record.sop_class_uid != sop_class_uid:
        raise MismatchError("The data set has another SOP Class UID than the command")
