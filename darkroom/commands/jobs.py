"""``darkroom jobs``, with ``jobs show`` and ``jobs retry``."""

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from darkroom.commands.options import AsJson, ConfigFile, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.jobs import JobQueue
    from db.records import JobRecord

jobs = App(name="jobs", help="List the jobs; show one, or restart what failed.")

State = Literal["queued", "running", "done", "failed"]
_ID_LETTERS = 12


@jobs.default
def list_jobs(*, state: State | None = None, config: ConfigFile = None, json: AsJson = False) -> int:
    """List the jobs, oldest first.

    Parameters
    ----------
    state
        Only those in this state.
    """
    from darkroom.archive import open_archive
    from darkroom.console import print_json
    from db.records import JobState

    with open_archive(read_settings(config)) as archive:
        found = archive.queue.jobs(JobState(state) if state else None)
    if json:
        print_json(found)
    else:
        print_jobs(found)
    return 0


@jobs.command
def show(job: str, /, *, config: ConfigFile = None, json: AsJson = False) -> int:
    """Show one job: its error, its findings, its outputs.

    Parameters
    ----------
    job
        Its ID, or the beginning of it.
    """
    from darkroom.archive import open_archive
    from darkroom.console import print_json

    with open_archive(read_settings(config)) as archive:
        found = find_job(archive.queue, job)
    if json:
        print_json(found)
    else:
        _print_one(found)
    return 0


@jobs.command
def retry(
    job: str | None = None,
    /,
    *,
    every: Annotated[
        bool, Parameter(name="--all", negative="", show_default=False, help="Every failed job.")
    ] = False,
    config: ConfigFile = None,
    json: AsJson = False,
) -> int:
    """Restart a failed job, or all of them.

    Parameters
    ----------
    job
        Its ID, or the beginning of it.
    """
    from darkroom.archive import open_archive
    from darkroom.console import print_json, print_line
    from darkroom.errors import RequestError
    from db.records import JobState

    if (job is None) is not every:
        raise RequestError("Name one job, or give --all.")
    with open_archive(read_settings(config)) as archive:
        chosen = archive.queue.jobs(JobState.FAILED) if job is None else [find_job(archive.queue, job)]
        for each in chosen:
            archive.queue.retry(each.job_id)
    ids = [each.job_id for each in chosen]
    if json:
        print_json({"retried": ids})
    else:
        print_line(f"{len(ids)} restarted; a running node does them.")
    return 0


def find_job(queue: "JobQueue", beginning: str) -> "JobRecord":
    """Return the job whose ID begins so.

    Raises
    ------
    RequestError
        If there is none, or more than one.
    """
    from darkroom.errors import RequestError

    found = [job for job in queue.jobs() if job.job_id.startswith(beginning)]
    if len(found) != 1:
        problem = "More than one job has an ID that begins so." if found else "There is no such job."
        raise RequestError(problem, hint="darkroom jobs lists them all.")
    return found[0]


def print_jobs(found: "Sequence[JobRecord]") -> None:
    """Print jobs as a table."""
    from darkroom.console import print_table

    print_table(
        ("job", "state", "tries", "route", "processor", "outputs", "series and error"),
        [
            (
                job.job_id[:_ID_LETTERS],
                job.state,
                job.tries,
                job.route,
                job.processor,
                len(job.outputs),
                f"{job.series_instance_uid} r{job.revision}" + (f"\n{job.error}" if job.error else ""),
            )
            for job in found
        ],
        empty="There are no such jobs.",
        whole=("job", "route"),
    )


def _print_one(job: "JobRecord") -> None:
    from darkroom.console import moment, print_facts

    facts: list[tuple[str, object]] = [
        ("job", job.job_id),
        ("state", job.state),
        ("tries", job.tries),
        ("route", job.route),
        ("processor", job.processor),
        ("parameters", ", ".join(f"{name} = {value}" for name, value in job.parameters.items())),
        ("series", job.series_instance_uid),
        ("revision", job.revision),
        ("queued", moment(job.queued_at)),
        ("started", moment(job.started_at)),
        ("finished", moment(job.finished_at)),
    ]
    facts += [(name, text) for name, text in (("error", job.error), ("hint", job.hint)) if text]
    facts += [("finding", finding.message) for finding in job.findings]
    facts += [("output", output.path) for output in job.outputs]
    print_facts(facts)
