"""``darkroom send``."""

from typing import TYPE_CHECKING

from darkroom.commands.options import AsJson, ConfigFile, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.settings import Settings
    from darkroom.archive import Archive
    from db.records import Level, StoredInstance
    from scp.peers import Destination
    from scp.send import SubOperation

_UNIQUE_KEYS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def send(
    peer: str,
    /,
    *,
    study: list[str] | None = None,
    series: list[str] | None = None,
    instance: list[str] | None = None,
    config: ConfigFile = None,
    json: AsJson = False,
) -> int:
    """Send instances to a configured peer by C-STORE.

    Exit code 1 if it did not take them all.

    Parameters
    ----------
    peer
        Its name in the settings.
    study
        Every instance of the study with this Study Instance UID; may come more than once, as the others may.
    series
        Every instance of the series with this Series Instance UID.
    instance
        The instance with this SOP Instance UID.
    """
    from darkroom.archive import open_archive
    from darkroom.errors import RequestError
    from db.records import Level

    settings = read_settings(config)
    destination = _find_destination(settings, peer)
    wanted = {Level.STUDY: study, Level.SERIES: series, Level.IMAGE: instance}
    with open_archive(settings) as archive:
        chosen = _choose(archive, {level: tuple(uids) for level, uids in wanted.items() if uids})
        if not chosen:
            raise RequestError(
                "There is nothing to send.", hint="Name what is in the index: --study, --series, --instance."
            )
        done = _send(settings, archive, destination, chosen)
    return _report(done, json=json)


def _find_destination(settings: "Settings", name: str) -> "Destination":
    from darkroom.errors import RequestError
    from scp.peers import read_peers

    found = next((peer for peer in read_peers(settings).peers if peer.name == name), None)
    if found is None:
        names = ", ".join(peer.name for peer in settings.peers)
        hint = f"There are: {names}." if names else "Name it in the settings, under [[peers]]."
        raise RequestError("There is no such peer.", hint=hint)
    if found.destination is None:
        raise RequestError(
            "Nothing can be sent to this peer.", hint="Give it a port, and an address that is no network."
        )
    return found.destination


def _choose(archive: "Archive", wanted: "dict[Level, tuple[str, ...]]") -> "list[StoredInstance]":
    """Return the instances that are asked for, each once."""
    chosen: dict[str, StoredInstance] = {}
    for level, uids in wanted.items():
        for each in archive.index.instances(level, {_UNIQUE_KEYS[level]: uids}):
            chosen[each.sop_instance_uid] = each
    return list(chosen.values())


def _send(
    settings: "Settings",
    archive: "Archive",
    destination: "Destination",
    instances: "Sequence[StoredInstance]",
) -> "list[SubOperation]":
    from darkroom.console import progress
    from scp.caller import Caller
    from scp.send import send_instances

    caller = Caller(settings.node.ae_title, settings.network)
    done = []
    with progress("Sending", total=len(instances)) as advance:
        for each in send_instances(destination, instances, store=archive.store, caller=caller):
            done.append(each)
            advance()
    return done


def _report(done: "list[SubOperation]", *, json: bool) -> int:
    from darkroom.console import print_json, print_line, print_table
    from scp.status import Outcome

    counts = {outcome.name.lower(): sum(each.outcome is outcome for each in done) for outcome in Outcome}
    failed = [each for each in done if each.outcome is Outcome.FAILED]
    rows = [
        (each.instance.sop_instance_uid, f"0x{each.code:04X}" if each.code is not None else "", each.reason)
        for each in failed
    ]
    if json:
        names = ("sop_instance_uid", "status", "reason")
        print_json({**counts, "not_sent": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        if rows:
            print_table(("SOP Instance UID", "status", "why"), rows, empty="")
        print_line(", ".join(f"{count} {name}" for name, count in counts.items()) + ".")
    return 1 if failed else 0
