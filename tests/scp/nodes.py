"""Running nodes for the tests, and peers that talk to them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from config.settings import Network, Settings, Storage
from config.settings import Node as NodeSettings
from config.settings import Peer as PeerSettings
from db.engine import Engines, migrate, open_engines
from db.index import Index
from db.store import Store
from scp.caller import exchange_messages
from scp.contexts import build_context
from scp.server import Node
from tests.series_factory import ct_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
VERIFICATION = "1.2.840.10008.1.1"
EVERY_RIGHT = ("echo", "store", "find", "get", "move")
NATIVE = (EXPLICIT, IMPLICIT, BIG_ENDIAN)
DEFLATED_SYNTAXES = (DEFLATED, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")


@dataclass
class RunningNode:
    """A node and what it stands on."""

    node: Node
    store: Store
    index: Index
    engines: Engines
    folder: Path
    changes: list[float] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.node.address[0]

    @property
    def port(self) -> int:
        return self.node.address[1]

    def files(self) -> list[Path]:
        """Every file below instances and drafts."""
        return [p for name in ("instances", "drafts") for p in (self.folder / name).rglob("*") if p.is_file()]

    def dataset(self, sop_instance_uid: str) -> bytes:
        """The stored data set of an instance that must be there."""
        instance = self.index.stored(sop_instance_uid)
        assert instance is not None
        return self.store.read_dataset(instance)

    def outcomes(self) -> list[tuple[str, str | None]]:
        """Calling AE title and outcome of every association recorded."""
        with self.engines.read() as connection:
            rows = connection.exec_driver_sql("SELECT calling_ae_title, outcome FROM association ORDER BY id")
            return [(row[0], row[1]) for row in rows]


@contextmanager
def running_node(
    folder: Path,
    *,
    peers: Sequence[PeerSettings] = (),
    network: Mapping[str, Any] | None = None,
    make_store: Callable[[Path], Store] = Store,
    make_index: Callable[[Engines], Index] = Index,
    ae_title: str = "DARKROOM",
    host: str = "127.0.0.1",
    **storage: Any,
) -> Iterator[RunningNode]:
    """Run a node on a free port of this machine, and stop it."""
    settings = Settings(
        node=NodeSettings(port=0, ae_title=ae_title, host=host),
        storage=Storage(folder=folder, **({"free_fraction": 0.0, "free_bytes": 0} | storage)),
        network=Network(**(network or {})),
        peers=tuple(peers),
    )
    folder.mkdir(exist_ok=True)
    store = make_store(folder)
    store.prepare()
    migrate(folder)
    engines = open_engines(folder)
    index = make_index(engines)
    changes: list[float] = []
    node = Node(
        settings, store=store, index=index, engines=engines, on_change=lambda: changes.append(time.time())
    )
    node.start()
    try:
        yield RunningNode(node, store, index, engines, folder, changes)
    finally:
        node.stop(0.5)
        engines.close()


def peer(name: str, *, port: int | None = None, rights: Sequence[str] = EVERY_RIGHT) -> PeerSettings:
    """Return a configured peer of this machine."""
    return PeerSettings(
        name=name.lower(), ae_title=name, addresses=("127.0.0.1",), port=port, rights=tuple(rights)
    )


@contextmanager
def association(
    node: RunningNode,
    contexts: Sequence[PresentationContext],
    *,
    calling: str = "TESTSCU",
    called: str = "DARKROOM",
    roles: Sequence[str] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Association]:
    """Keep an association that stock pynetdicom requests; it is released if it still stands at the end."""
    opened = request_association(
        node, contexts, calling=calling, called=called, roles=roles, handlers=handlers
    )
    assert opened.is_established
    try:
        yield opened
    finally:
        opened.release()
        opened.join(5)


def request_association(
    node: RunningNode,
    contexts: Sequence[PresentationContext],
    *,
    calling: str = "TESTSCU",
    called: str = "DARKROOM",
    roles: Sequence[str] = (),
    handlers: Sequence[Any] = (),
) -> Association:
    """Return an association that stock pynetdicom requested, accepted or not."""
    ae = AE(ae_title=calling)
    ae.dimse_timeout = 20
    ae.maximum_pdu_size = 131072
    return ae.associate(
        node.host,
        node.port,
        contexts=list(contexts),
        ae_title=called,
        ext_neg=[build_role(uid, scp_role=True) for uid in roles],
        evt_handlers=list(handlers),
    )


def ct_dataset(name: str = "ct") -> pydicom.Dataset:
    """Return one small synthetic CT; its name makes its UIDs."""
    return ct_series(name=name)[0]


def encode_dataset(dataset: pydicom.Dataset, transfer_syntax_uid: str) -> bytes:
    """Return a data set's bytes; where the transfer syntax is encapsulated, the pixels are some fragments."""
    copy = pydicom.Dataset(dataset)
    if transfer_syntax_uid not in (*NATIVE, *DEFLATED_SYNTAXES):
        copy.PixelData = encapsulate([b"\xff\xd8 fragment of no known codec \xff\xd9"])
        copy["PixelData"].VR = "OB"
        copy["PixelData"].is_undefined_length = True
    if transfer_syntax_uid == BIG_ENDIAN:
        copy.PixelData = bytes(copy.PixelData)  # not swapped: nobody looks at the pixels here
        copy.set_original_encoding(is_implicit_vr=False, is_little_endian=False, character_encoding="latin_1")
    copy.file_meta = FileMetaDataset()
    is_implicit, is_big = transfer_syntax_uid == IMPLICIT, transfer_syntax_uid == BIG_ENDIAN
    encoded = encode(copy, is_implicit, not is_big, transfer_syntax_uid in DEFLATED_SYNTAXES)
    assert encoded
    return encoded


def store_bytes(
    opened: Association,
    dataset: bytes,
    *,
    sop_instance_uid: str,
    transfer_syntax_uid: str = EXPLICIT,
    sop_class_uid: str = CT,
    message_id: int = 1,
) -> Any:
    """Send bytes as a data set, whatever they are, and return the response primitive."""
    (context,) = [
        each
        for each in opened.accepted_contexts
        if each.abstract_syntax == sop_class_uid and each.transfer_syntax[0] == transfer_syntax_uid
    ]
    request = C_STORE()
    request.MessageID = message_id
    request.AffectedSOPClassUID = UID(sop_class_uid)
    request.AffectedSOPInstanceUID = sop_instance_uid
    request.DataSet = BytesIO(dataset)
    return exchange_messages(opened, request, context.context_id or 0)


def store_dataset(
    opened: Association, dataset: pydicom.Dataset, transfer_syntax_uid: str = EXPLICIT, message_id: int = 1
) -> tuple[bytes, int]:
    """Encode and send a data set; return its bytes and the status."""
    encoded = encode_dataset(dataset, transfer_syntax_uid)
    response = store_bytes(
        opened,
        encoded,
        sop_instance_uid=dataset.SOPInstanceUID,
        sop_class_uid=str(dataset.SOPClassUID),
        transfer_syntax_uid=transfer_syntax_uid,
        message_id=message_id,
    )
    return encoded, response.Status


def storage(*transfer_syntaxes: str, sop_class_uid: str = CT) -> list[PresentationContext]:
    """Return one context for each transfer syntax."""
    return [build_context(sop_class_uid, [uid]) for uid in transfer_syntaxes or (EXPLICIT,)]


def collector(received: dict[str, tuple[str, bytes]], status: int = 0x0000) -> tuple[Any, Any]:
    """Return a handler that keeps what C-STORE brings: SOP Instance UID -> transfer syntax and bytes."""

    def keep(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        received[uid] = (str(event.context.transfer_syntax), event.request.DataSet.getvalue())
        return status

    return (evt.EVT_C_STORE, keep)


def retrieve_identifier(study_instance_uid: str) -> pydicom.Dataset:
    """Return an identifier that asks for a study."""
    identifier = pydicom.Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study_instance_uid
    return identifier


def wait_until(statement: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until a statement is true, and fail where it never is."""
    deadline = time.monotonic() + seconds
    while not statement():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)
