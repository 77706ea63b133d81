"""``darkroom export``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from darkroom.commands.options import AsJson, ConfigFile, read_settings

if TYPE_CHECKING:
    from config.settings import Settings
    from db.records import FindingRecord, JobRecord

ProcessorName = Literal["nifti", "png", "dicom"]
_DEFAULT: tuple[ProcessorName, ...] = ("nifti", "png")


def export(
    series_instance_uid: str,
    /,
    *,
    processor: Annotated[list[ProcessorName] | None, Parameter(consume_multiple=True, negative="")] = None,
    out: Path = Path(),
    identified: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    config: ConfigFile = None,
    json: AsJson = False,
) -> int:
    """Run processors for a series again, now, into a folder of yours.

    Exit code 1 if nothing could be made.

    Parameters
    ----------
    series_instance_uid
        The series; its last closed revision is taken.
    processor
        One or more of nifti, png, dicom; nifti and png where none is given.
    out
        The folder, where files of the same names are replaced; the current one where none is given.
    identified
        Keep the patient's identity. Such files must stay with those who may know it.
    """
    from darkroom.archive import open_archive
    from darkroom.console import print_json, print_line
    from darkroom.errors import RequestError
    from darkroom.remaking import request_by_hand

    settings = read_settings(config)
    with open_archive(settings) as archive:
        entries = archive.ledger.entries(series_instance_uid)
    if not entries:
        raise RequestError("There is no such series.", hint="darkroom series lists them all.")
    paths: list[Path] = []
    findings: list[FindingRecord] = []
    for entry in entries:
        for name in processor or _DEFAULT:
            made = _make(request_by_hand(entry, name, deidentify=not identified), settings, out.absolute())
            paths += made[0]
            findings += made[1]
    if json:
        print_json({"outputs": [str(path) for path in paths], "findings": findings})
    else:
        for line in (*map(str, paths), *(f"finding: {finding.message}" for finding in findings)):
            print_line(line)
    return 0 if paths else 1


def _make(
    job: "JobRecord", settings: "Settings", folder: Path
) -> "tuple[list[Path], tuple[FindingRecord, ...]]":
    """Run one processor, and return where its files lie and what it found."""
    from tempfile import TemporaryDirectory

    from darkroom.remaking import deliver, make

    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".darkroom-") as staging:
        made = make(job, settings, Path(staging))
        return deliver(made, Path(staging), folder), made.findings
