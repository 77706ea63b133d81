"""C-STORE to other nodes: stored instances go out byte for byte as they came in.

Each is offered in exactly its own transfer syntax. Beside it, Explicit and Implicit VR Little Endian are offered for
each other: a peer that takes only the other one gets the same values, re-encoded. Everything else that the peer does
not take as it is stored is not sent, and counts as failed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle
from typing import TYPE_CHECKING, Any

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode, encode

from db.errors import DbError, StoredFileError
from scp.caller import await_response, exchange_messages
from scp.contexts import MOST_CONTEXTS, proposals
from scp.errors import AssociationError, ContextError, ScpError
from scp.status import Outcome, outcome_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

    from db.records import StoredInstance
    from db.store import Store
    from scp.caller import Caller
    from scp.peers import Destination

_EXPLICIT = str(ExplicitVRLittleEndian)
_IMPLICIT = str(ImplicitVRLittleEndian)
_ALTERNATIVES = {_EXPLICIT: _IMPLICIT, _IMPLICIT: _EXPLICIT}

MEDIUM_PRIORITY = 0
"""PS3.7 9.1.1.1.6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Originator:
    """Who asked for a C-STORE by a C-MOVE (PS3.7 9.1.1.1.7 and 8)."""

    ae_title: str
    message_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubOperation:
    """What became of one instance."""

    instance: StoredInstance
    outcome: Outcome
    code: int | None = None
    """The peer's status; None where it was not asked or did not answer."""
    reason: str = ""
    """Why it failed on our side; empty where the peer decided."""


def send_instances(
    destination: Destination,
    instances: Sequence[StoredInstance],
    *,
    store: Store,
    caller: Caller,
    originator: Originator | None = None,
) -> Generator[SubOperation, None, None]:
    """Send instances to a peer, and yield what became of each, in the order they were sent.

    Closing the iterator ends the association after the instance in hand.

    Parameters
    ----------
    destination
        Whom to send to.
    instances
        What to send; as many kinds as there are, one association for every 128 presentation contexts.
    store
        Where the bytes are.
    caller
        Who requests the association.
    originator
        Where the C-STOREs are sub-operations of a C-MOVE.
    """
    message_ids = cycle(range(1, 65536))
    for contexts, batch in plan_batches(instances):
        waiting = iter(batch)
        try:
            with caller.association(destination, contexts) as association:
                for instance in waiting:
                    yield send_instance(
                        association,
                        instance,
                        store=store,
                        message_id=next(message_ids),
                        originator=originator,
                    )
                    if not association.is_established:
                        break
        except AssociationError as error:
            lost = str(error)
        else:
            lost = "The association ended early"
        for instance in waiting:
            yield SubOperation(instance=instance, outcome=Outcome.FAILED, reason=lost)


def plan_batches(
    instances: Sequence[StoredInstance], most_contexts: int = MOST_CONTEXTS
) -> list[tuple[list[PresentationContext], list[StoredInstance]]]:
    """Return the associations that are needed: the contexts of each, and the instances it carries.

    Parameters
    ----------
    instances
        In the order they should be sent; within each association it is kept.
    most_contexts
        How many contexts an association may have.
    """
    batches: list[tuple[list[PresentationContext], set[tuple[str, str]]]] = []
    for pair in dict.fromkeys((each.sop_class_uid, each.transfer_syntax_uid) for each in instances):
        pairs = {pair}
        if batches and len(_proposals(batches[-1][1] | pairs)) <= most_contexts:
            batches[-1][1].update(pairs)
        else:
            batches.append(([], pairs))
    return [
        (
            _proposals(pairs),
            [each for each in instances if (each.sop_class_uid, each.transfer_syntax_uid) in pairs],
        )
        for _, pairs in batches
    ]


def _proposals(pairs: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    return proposals(sorted(pairs), alternatives=_ALTERNATIVES)


def send_instance(
    association: Association,
    instance: StoredInstance,
    *,
    store: Store,
    message_id: int,
    originator: Originator | None = None,
) -> SubOperation:
    """Send one instance in an association, ours or one that the peer opened for a C-GET, and return what became of it.

    An error of the association is not raised: the instance failed, and the association is over.
    """
    try:
        context = choose_context(association.accepted_contexts, instance)
        dataset = read_to_send(store, instance, str(context.transfer_syntax[0]))
        request = _store_request(instance, dataset, message_id, originator)
        context_id = int(context.context_id or 0)
        if association.is_requestor:
            response = exchange_messages(association, request, context_id)
        else:
            association.dimse.send_msg(request, context_id)
            response = await_response(association, request)
    except (ScpError, DbError) as error:
        return SubOperation(instance=instance, outcome=Outcome.FAILED, reason=str(error))
    code = int(response.Status)
    return SubOperation(instance=instance, outcome=outcome_of(code), code=code)


def choose_context(accepted: Iterable[PresentationContext], instance: StoredInstance) -> PresentationContext:
    """Return the accepted context in which an instance goes out, as it is stored if at all possible.

    Raises
    ------
    ContextError
        If none was accepted in which it could.
    """
    fitting = {
        str(context.transfer_syntax[0]): context
        for context in accepted
        if context.as_scu and str(context.abstract_syntax) == instance.sop_class_uid
    }
    stored = instance.transfer_syntax_uid
    for uid in (stored, _ALTERNATIVES.get(stored)):
        if uid in fitting:
            return fitting[uid]
    if fitting:
        raise ContextError(f"The peer does not take transfer syntax {stored}")
    raise ContextError(f"The peer does not take SOP class {instance.sop_class_uid}")


def read_to_send(store: Store, instance: StoredInstance, transfer_syntax_uid: str) -> bytes:
    """Return an instance's data set as it goes out: the stored bytes, checked, if the transfer syntax is the stored one.

    Raises
    ------
    StoredFileError
        If the file is missing, or its bytes are not those that were acknowledged.
    """
    dataset = store.read_dataset(instance)
    if hashlib.sha256(dataset).hexdigest() != instance.file.dataset_sha256:
        raise StoredFileError(f"The data set of instance {instance.sop_instance_uid} changed in the store")
    if transfer_syntax_uid == instance.transfer_syntax_uid:
        # Values have even lengths (PS3.5 7.1.1), so only a sender that breaks the rule sends an odd data set. Many
        # receivers end the association over an odd fragment; a byte behind the last value costs no value.
        return dataset + b"\0" if len(dataset) % 2 else dataset
    return _reencode(dataset, to_implicit=transfer_syntax_uid == _IMPLICIT)


def _reencode(dataset: bytes, *, to_implicit: bool) -> bytes:
    """Return a little endian data set with the VRs written out, or left out; no value changes."""
    decoded = decode(BytesIO(dataset), not to_implicit, True)
    encoded = encode(decoded, to_implicit, True)
    if encoded is None:
        raise ContextError("The data set could not be re-encoded")
    return encoded


def _store_request(
    instance: StoredInstance, dataset: bytes, message_id: int, originator: Originator | None
) -> Any:
    request = C_STORE()
    request.MessageID = message_id
    request.Priority = MEDIUM_PRIORITY
    request.AffectedSOPClassUID = instance.sop_class_uid
    request.AffectedSOPInstanceUID = instance.sop_instance_uid
    request.DataSet = BytesIO(dataset)
    if originator is not None:
        request.MoveOriginatorApplicationEntityTitle = originator.ae_title
        request.MoveOriginatorMessageID = originator.message_id
    return request
