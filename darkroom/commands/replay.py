"""``darkroom replay``."""

from pathlib import Path

from darkroom.commands.options import AsJson, ConfigFile, read_settings


def replay(job: str, /, *, config: ConfigFile = None, json: AsJson = False) -> int:
    """Make the exports of a done job again and compare them byte for byte.

    Exit code 1 if any differs. Nothing is kept of what is made.

    Parameters
    ----------
    job
        Its ID, or the beginning of it.
    """
    from tempfile import TemporaryDirectory

    from darkroom.archive import open_archive
    from darkroom.commands.jobs import find_job
    from darkroom.console import print_json, print_line, print_table
    from darkroom.errors import RequestError
    from darkroom.remaking import Likeness, compare, make
    from db.records import JobState

    settings = read_settings(config)
    with open_archive(settings) as archive:
        record = find_job(archive.queue, job)
    if record.state is not JobState.DONE:
        raise RequestError("Only a job that is done can be replayed.", hint=f"This one is {record.state}.")
    with TemporaryDirectory(prefix="darkroom-replay-") as staging:
        comparisons = compare(record, make(record, settings, Path(staging)), Path(staging))
    equal = sum(each.likeness is Likeness.EQUAL for each in comparisons)
    if json:
        print_json({"job_id": record.job_id, "outputs": comparisons})
    else:
        rows = [(each.likeness, each.path) for each in comparisons]
        print_table(("", "output"), rows, empty="The job has no outputs.")
        print_line(f"{equal} of {len(comparisons)} are equal, byte for byte.")
    return 0 if equal == len(comparisons) else 1
