"""The command line as an operator uses it, in this process: a settings file, a call, what was printed."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from config.settings import load_settings
from darkroom.archive import open_archive
from darkroom.cli import main
from db.records import SeriesState
from tests.series_factory import part10

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pydicom
    import pytest

    from config.settings import Settings
    from db.records import JobRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Calls commands with one settings file."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def file(self) -> Path:
        """The settings file."""
        return self.folder / "darkroom.toml"

    @property
    def settings(self) -> Settings:
        """What the settings file means."""
        return load_settings(self.file)

    def configure(self, text: str = "") -> None:
        """Write the settings file: the data folder, and what else is given."""
        self.file.write_text(f'[storage]\nfolder = "{self.folder / "data"}"\nfree_fraction = 0.0\n{text}')

    def __call__(self, *arguments: str) -> Answer:
        """Call ``darkroom ARGUMENTS --config FILE``."""
        return self.plain(*arguments, "--config", str(self.file))

    def plain(self, *arguments: str) -> Answer:
        """Call ``darkroom ARGUMENTS``."""
        self.capsys.readouterr()
        code = main(list(arguments))
        printed = self.capsys.readouterr()
        return Answer(code=code, out=printed.out, err=printed.err)

    def write(self, datasets: Sequence[pydicom.Dataset], name: str = "scans") -> Path:
        """Write Part 10 files into a folder and return it."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for number, dataset in enumerate(datasets):
            (folder / f"{number:03}.dcm").write_bytes(part10(dataset))
        return folder

    def close_series(self, *requests: JobRequest) -> str:
        """Close the only series as complete with these jobs, and return its Series Instance UID."""
        with open_archive(self.settings) as archive:
            (entry,) = archive.ledger.entries()
            archive.ledger.close(
                entry.series_id,
                state=SeriesState.COMPLETE,
                reasons=("All 5 instances that the headers count are here.",),
                at=time.time(),
                instance_count=entry.instance_count,
                jobs=requests,
                enqueue=archive.queue.enqueue,
            )
        return entry.series_instance_uid
