"""``darkroom series``."""

from typing import TYPE_CHECKING

from darkroom.commands.options import AsJson, ConfigFile, read_settings

if TYPE_CHECKING:
    from db.records import LedgerEntry


def series(
    series_instance_uid: str | None = None, /, *, config: ConfigFile = None, json: AsJson = False
) -> int:
    """Show the ledger: every series, its state, the evidence for it, and its jobs.

    Parameters
    ----------
    series_instance_uid
        Only this one, with its jobs and outputs.
    """
    from darkroom.archive import open_archive
    from darkroom.console import print_json
    from darkroom.errors import RequestError

    with open_archive(read_settings(config)) as archive:
        entries = archive.ledger.entries(series_instance_uid)
    if series_instance_uid and not entries:
        raise RequestError("There is no such series.", hint="darkroom series lists them all.")
    if json:
        print_json(entries)
    elif series_instance_uid:
        for entry in entries:
            _print_one(entry)
    else:
        _print_all(entries)
    return 0


def _print_all(entries: "list[LedgerEntry]") -> None:
    from darkroom.console import moment, print_table

    print_table(
        ("state", "rev", "modality", "instances", "jobs", "series and evidence"),
        [
            (
                entry.state,
                entry.revision or "-",
                entry.modality,
                _instances(entry),
                _jobs(entry),
                "\n".join(
                    (
                        entry.series_instance_uid,
                        f"last arrival {moment(entry.last_arrival_at)}",
                        *entry.reasons,
                    )
                ),
            )
            for entry in entries
        ],
        empty="There are no series yet.",
    )


def _instances(entry: "LedgerEntry") -> str:
    """Return how many instances there are, and how many were refused as conflicts."""
    conflicts = f"\n{entry.conflict_count} in conflict" if entry.conflict_count else ""
    return f"{entry.instance_count}{conflicts}"


def _jobs(entry: "LedgerEntry") -> str:
    """Return how many jobs are in which state, a line each."""
    from collections import Counter

    counts = Counter(job.state.value for job in entry.jobs)
    return "\n".join(f"{count} {state}" for state, count in sorted(counts.items()))


def _print_one(entry: "LedgerEntry") -> None:
    from darkroom.commands.jobs import print_jobs
    from darkroom.console import moment, print_facts, print_line

    facts: list[tuple[str, object]] = [
        ("series", entry.series_instance_uid),
        ("study", entry.study_instance_uid),
        ("modality", entry.modality),
        ("state", entry.state),
        ("revision", entry.revision or "none closed yet"),
        ("instances", entry.instance_count),
        ("conflicts", entry.conflict_count),
        ("last arrival", moment(entry.last_arrival_at)),
        *(("evidence", reason) for reason in entry.reasons),
    ]
    print_facts(facts)
    print_jobs(list(entry.jobs))
    for job in entry.jobs:
        for output in job.outputs:
            print_line(output.path)
