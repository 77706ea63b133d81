"""The settings of a node: one TOML file, strict, with a default for every key.

Every key is documented with unit, default and reason in ``default.toml`` beside this module. A time ends in
``_s`` and is in seconds, a size ends in ``_bytes``. What is unknown or wrong is refused with its key and line.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from config.faults import Fault, SettingsError, fault_at, sentence
from config.lines import Place, key_lines
from config.values import (
    ROUTE_KEYWORDS,
    AeTitle,
    Folder,
    Host,
    Name,
    PeerAddress,
    Seconds,
    check_different,
    check_route_keywords,
    check_some,
    is_loopback,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ROUTE_KEYWORDS",
    "SYSTEM_FILE",
    "Completion",
    "Deidentify",
    "Export",
    "Fault",
    "Log",
    "Network",
    "Node",
    "Peer",
    "Processor",
    "Right",
    "Route",
    "Settings",
    "SettingsError",
    "Storage",
    "Worker",
    "find_settings_file",
    "is_loopback",
    "load_settings",
]

SYSTEM_FILE = Path("/etc/darkroom/darkroom.toml")

Right = Literal["echo", "store", "find", "get", "move"]
Processor = Literal["nifti", "png", "dicom"]

_GIB = 1024**3


def _default_folder() -> Path:
    """Return where a user's data belongs (XDG Base Directory), or a service's where there is no home."""
    given = Path(os.environ.get("XDG_DATA_HOME", ""))
    if given.is_absolute():
        return given / "darkroom"
    try:
        return Path.home() / ".local" / "share" / "darkroom"
    except RuntimeError:
        return Path("/var/lib/darkroom")


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Node(_Section):
    """Who the node is and where it listens."""

    ae_title: AeTitle = "DARKROOM"
    host: Host = "127.0.0.1"
    port: int = Field(default=11112, ge=0, le=65535)
    """0 lets the system choose a free one."""


class Storage(_Section):
    """Where instances and index are kept, and how much of the disk is left alone."""

    folder: Folder = Field(default_factory=_default_folder)
    free_fraction: FiniteFloat = Field(default=0.05, ge=0, lt=1)
    free_bytes: int = Field(default=1_000_000_000, ge=0)


class Network(_Section):
    """What one association, and all of them together, may take."""

    max_associations: int = Field(default=100, ge=1, le=10_000)
    acse_timeout_s: Seconds = 30.0
    dimse_timeout_s: Seconds = 30.0
    idle_timeout_s: Seconds = 300.0
    maximum_pdu_bytes: int = Field(default=131_072, ge=4096, le=16_777_216)
    shutdown_grace_s: FiniteFloat = Field(default=20.0, ge=0, le=3600)
    max_dataset_bytes: int = Field(default=4 * _GIB, ge=1)


class Completion(_Section):
    """When a series counts as complete."""

    release_wait_s: Seconds = 5.0
    quiet_s: Seconds = 60.0
    incomplete_after_s: Seconds = 120.0
    look_every_s: Seconds = 0.5


class Worker(_Section):
    """The processes that do the jobs, and what one job may take."""

    processes: int = Field(default=1, ge=1, le=256)
    memory_bytes: int = Field(default=4 * _GIB, ge=_GIB // 4)
    cpu_s: int = Field(default=600, ge=1)
    wall_s: Seconds = 1200.0
    tries: int = Field(default=3, ge=1, le=100)
    backoff_s: Seconds = 5.0
    backoff_max_s: Seconds = 600.0


class Deidentify(_Section):
    """What replaces the identity of a patient."""

    key_file: Folder | None = None
    """None: in the storage folder, see `Settings.key_file`."""


class Export(_Section):
    """Where the outputs go."""

    folder: Folder | None = None
    """None: in the storage folder, see `Settings.export_folder`."""


class Log(_Section):
    """What is logged, and in which form, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Peer(_Section):
    """Another application entity: how it is known and what it may do."""

    name: Name
    ae_title: AeTitle
    addresses: Annotated[tuple[PeerAddress, ...], AfterValidator(check_some)]
    """Where it may call from: IP addresses, networks, host names."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Where it listens; None: nothing can be sent to it."""
    rights: Annotated[tuple[Right, ...], AfterValidator(check_different)] = ()

    @property
    def host(self) -> str | None:
        """Where to call it: the first of its addresses that is not a network."""
        return next((address for address in self.addresses if "/" not in address), None)


class Route(_Section):
    """Which series go to which processors."""

    name: Name
    match: Annotated[dict[str, str], AfterValidator(check_route_keywords)] = {}
    """DICOM keyword -> matching value of C-FIND (PS3.4 C.2.2.2); all must match, none matches everything."""
    processors: Annotated[tuple[Processor, ...], AfterValidator(check_some)]
    deidentify: bool = True


class Settings(_Section):
    """All settings of a node; ``Settings()`` is the node without a file."""

    node: Node = Field(default_factory=Node)
    storage: Storage = Field(default_factory=Storage)
    network: Network = Field(default_factory=Network)
    completion: Completion = Field(default_factory=Completion)
    worker: Worker = Field(default_factory=Worker)
    deidentify: Deidentify = Field(default_factory=Deidentify)
    export: Export = Field(default_factory=Export)
    log: Log = Field(default_factory=Log)
    peers: tuple[Peer, ...] = ()
    routes: tuple[Route, ...] = (Route(name="everything", processors=("nifti", "png")),)

    @property
    def data_folder(self) -> Path:
        """Where instances and index are kept."""
        return self.storage.folder

    @property
    def export_folder(self) -> Path:
        """Where the outputs go."""
        return self.export.folder or self.storage.folder / "exports"

    @property
    def key_file(self) -> Path:
        """Where the key of the pseudonyms is kept."""
        return self.deidentify.key_file or self.storage.folder / "deidentify.key"


def find_settings_file(given: Path | None = None) -> Path | None:
    """Return the file given, or the one $DARKROOM_CONFIG names, or the system's, or None: all defaults."""
    if given is not None:
        return given
    if named := os.environ.get("DARKROOM_CONFIG"):
        return Path(named)
    return SYSTEM_FILE if SYSTEM_FILE.exists() else None


def load_settings(path: Path | None) -> Settings:
    """Return the settings of a file, or the defaults where the path is None.

    Raises
    ------
    SettingsError
        With every fault of the file, in its order.
    """
    if path is None:
        return Settings()
    text = _read(path)
    data = _parse(text, path)
    lines = key_lines(text)
    try:
        # JSON has TOML's lists and texts; in this mode strict means the same for both. TOML's dates, which it
        # lacks, become a list that no key accepts.
        settings = Settings.model_validate_json(json.dumps(data, default=lambda _: [None]))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults = [fault_at(each["loc"], sentence(each, Settings), lines) for each in found]
    else:
        faults = [fault_at(place, message, lines) for place, message in _contradictions(settings)]
        if not faults:
            return settings
    raise SettingsError(sorted(faults, key=lambda fault: fault.line or 0), path=path)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        fault = Fault(key="", line=None, message=f"The file cannot be read: {error.strerror}.")
        raise SettingsError((fault,), path=path, hint="Give another file with --config.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            (Fault(key="", line=line, message="The file is not UTF-8."),), path=path
        ) from None


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).partition(" (at ")
        found = re.match(r"line (\d+)", where)
        line = int(found[1]) if found else text.count("\n") + 1
        fault = Fault(key="", line=line, message=f"This is not TOML: {what[:1].lower()}{what[1:]}.")
        raise SettingsError(
            (fault,), path=path, hint="Texts stand in quotes, lists in square brackets."
        ) from None


def _contradictions(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong between keys that are right one by one."""
    if not settings.peers and not is_loopback(settings.node.host):
        message = "Without [[peers]] only 127.0.0.1 or ::1 may be listened on. Name the peers that may call."
        yield ("node", "host"), message
    yield from _repeated("peers", "name", [peer.name for peer in settings.peers])
    yield from _repeated("peers", "ae_title", [peer.ae_title for peer in settings.peers])
    yield from _repeated("routes", "name", [route.name for route in settings.routes])
    if settings.worker.backoff_max_s < settings.worker.backoff_s:
        yield ("worker", "backoff_max_s"), "It must not be less than worker.backoff_s."


def _repeated(section: str, key: str, values: list[str]) -> Iterator[tuple[Place, str]]:
    """Yield the places where a value that must be unique comes again."""
    for position, value in enumerate(values):
        if value in values[:position]:
            yield (
                (section, position, key),
                f"{section}[{values.index(value)}] has the same; it must be unique.",
            )
