"""``darkroom import``."""

from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.commands.options import AsJson, ConfigFile, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from darkroom.importer import Importer, Taken


def import_folder(folder: Path, /, *more: Path, config: ConfigFile = None, json: AsJson = False) -> int:
    """Take in the DICOM files of folders, as if they had been sent.

    A running node develops the series at once, else the next one does. Exit code 1 if a file was refused.

    Parameters
    ----------
    folder
        Read with all folders in it. Files that are not DICOM are skipped.
    more
        Further folders or files.
    """
    from darkroom.archive import make_archive, open_archive
    from darkroom.console import print_json
    from darkroom.errors import RequestError
    from darkroom.importer import Fate, Importer

    paths = (folder, *more)
    if absent := [path for path in paths if not path.exists()]:
        raise RequestError(f"There is no {absent[0]}.")
    settings = read_settings(config)
    make_archive(settings)
    with open_archive(settings) as archive:
        importer = Importer(archive=archive, settings=settings)
        failed = [taken for taken in _follow(importer, paths) if taken.reason]
    counts = {fate.value: importer.counts[fate] for fate in Fate}
    if json:
        refused = [{"path": str(each.path), "fate": each.fate, "reason": each.reason} for each in failed]
        print_json({**counts, "not_kept": refused})
    else:
        _print(counts, failed)
    return 1 if failed else 0


def _follow(importer: "Importer", paths: tuple[Path, ...]) -> "Iterator[Taken]":
    """Yield what becomes of each file, with a progress bar."""
    from darkroom.console import progress
    from darkroom.importer import find_files

    with progress("Importing", total=sum(1 for _ in find_files(paths))) as advance:
        for taken in importer.run(paths):
            advance()
            yield taken


def _print(counts: dict[str, int], failed: "list[Taken]") -> None:
    from darkroom.console import print_line, print_table

    if failed:
        rows = [(each.fate, each.path, each.reason) for each in failed]
        print_table(("what", "file", "why"), rows, empty="")
    print_line(
        "{stored} stored, {same} already there, {conflict} in conflict, {refused} refused, "
        "{skipped} skipped as not DICOM.".format(**counts)
    )
