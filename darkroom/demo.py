"""The demonstration: a node in a temporary folder, and every step of an image's way, over the network.

The senders and askers are pynetdicom's own command line programs, so that nothing here talks to itself.
"""

from __future__ import annotations

import hashlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pydicom.data

from config.settings import load_settings
from darkroom.archive import open_archive
from darkroom.console import print_error, print_line, print_table
from darkroom.errors import DemoError
from darkroom.part10 import read_head
from darkroom.phantom import phantom_series
from db.records import JobState, SeriesState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings
    from db.records import LedgerEntry

REAL_SERIES = {
    "CT of 5 slices": "dicomdirtests/98892001/CT5N",
    "CT with slices missing": "dicomdirtests/77654033/CT2",
    "MR projections": "dicomdirtests/98892003/MR700",
    "MR slice": "MR_small.dcm",
}
"""Which of pydicom's packaged files are sent."""
SHOWN = (
    ("NIfTI", "nifti", "*.nii.gz"),
    ("Sidecars", "sidecar", "volume-1.json"),
    ("PNG (a contact sheet for each volume, and every slice)", "png", "volume-*.png"),
    ("De-identified DICOM", "dicom", "-"),
)
"""Title, kind, and which of them are listed."""
PATIENCE_S = 90.0
SETTINGS = """\
# The settings of the demonstration: impatient, since nobody else sends.
[node]
port = {port}

[storage]
folder = "{folder}"
free_fraction = 0.0
free_bytes = 50_000_000

[completion]
release_wait_s = 1.0
quiet_s = 4.0
incomplete_after_s = 6.0

[log]
level = "warning"

[[routes]]
name = "demo"
processors = ["nifti", "png", "dicom"]
"""


def main() -> int:
    """Run the demonstration and return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="darkroom-demo-"))
    try:
        demonstrate(folder)
    except DemoError as error:
        print_error(str(error), hint=f"The folder is kept: {folder}")
        return 1
    print_line(f"The folder is kept; remove it when you have seen enough: {folder}")
    return 0


def demonstrate(folder: Path) -> None:
    """Send, wait, ask, retrieve and show, in a folder of its own.

    Raises
    ------
    DemoError
        If a step fails.
    """
    sent = _write_series(folder / "to-send")
    config = folder / "darkroom.toml"
    port = _free_port()
    config.write_text(SETTINGS.format(port=port, folder=folder / "archive"), encoding="utf-8")
    settings = load_settings(config)
    with _node(config, port):
        print_line(f"A node listens on 127.0.0.1:{port}.")
        _send(folder / "to-send", port)
        print_line(f"Sent {len(sent)} instances of {len(REAL_SERIES) + 1} series by C-STORE.")
        entries = _await_jobs(settings)
        _ask(port)
        _retrieve(folder / "retrieved", port, entries, sent)
    _show(settings, entries)


def _write_series(folder: Path) -> set[str]:
    """Write what is to be sent, and return the SHA-256 of every data set."""
    packaged = Path(pydicom.data.__file__).parent / "test_files"
    for name, place in REAL_SERIES.items():
        source = packaged / place
        for path in sorted(source.iterdir()) if source.is_dir() else [source]:
            target = folder / name.replace(" ", "-") / f"{path.stem}.dcm"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    phantom = folder / "phantom"
    phantom.mkdir()
    for number, dataset in enumerate(phantom_series()):
        dataset.save_as(phantom / f"{number:03}.dcm", enforce_file_format=True)
    return _digests(folder)


def _digests(folder: Path) -> set[str]:
    digests = set()
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            digests.add(hashlib.sha256(content[read_head(content).dataset_offset :]).hexdigest())
    return digests


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _node(config: Path, port: int) -> Iterator[None]:
    """Keep a node running, as a service would: started by its command, stopped by SIGTERM."""
    node = subprocess.Popen([sys.executable, "-m", "darkroom", "serve", "--config", str(config)])  # noqa: S603
    try:
        _await_port(node, port)
        yield
    finally:
        node.send_signal(signal.SIGTERM)
        node.wait(PATIENCE_S)


def _await_port(node: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while node.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise DemoError("The node did not start.")


def _scu(program: str, port: int, *arguments: str) -> str:
    """Run one of pynetdicom's programs against the node and return what it printed."""
    command = [sys.executable, "-m", "pynetdicom", program, "127.0.0.1", str(port), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"{program} did not end in time.") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise DemoError(f"{program} failed: {said[-1]}")
    return done.stdout + done.stderr


def _send(folder: Path, port: int) -> None:
    _scu("storescu", port, str(folder), "--recurse", "--required-contexts")


def _await_jobs(settings: Settings) -> list[LedgerEntry]:
    """Return the ledger once every series is closed and every job has ended."""
    print_line("Waiting until every series is complete, or known not to be ...")
    deadline = time.monotonic() + PATIENCE_S
    with open_archive(settings) as archive:
        while time.monotonic() < deadline:
            entries = archive.ledger.entries()
            ended = (JobState.DONE, JobState.FAILED)
            if all(
                entry.state is not SeriesState.RECEIVING and all(job.state in ended for job in entry.jobs)
                for entry in entries
            ):
                return entries
            time.sleep(0.3)
    raise DemoError("The jobs did not end in time.")


def _ask(port: int) -> None:
    keys = [
        "QueryRetrieveLevel=STUDY",
        "PatientName=*",
        "PatientID=",
        "StudyDate=",
        "NumberOfStudyRelatedInstances=",
    ]
    answer = _scu("findscu", port, "--study", *(word for key in keys for word in ("-k", key)))
    print_line(f"C-FIND of all studies: {answer.count('(0008,0052)') - 1} answers.")


def _retrieve(folder: Path, port: int, entries: list[LedgerEntry], sent: set[str]) -> None:
    """Get every series back by C-GET, and compare the data sets byte for byte."""
    folder.mkdir()
    for entry in entries:
        keys = (
            "QueryRetrieveLevel=SERIES",
            f"StudyInstanceUID={entry.study_instance_uid}",
            f"SeriesInstanceUID={entry.series_instance_uid}",
        )
        _scu(
            "getscu",
            port,
            "--study",
            "--output-directory",
            str(folder),
            *(word for key in keys for word in ("-k", key)),
        )
    equal = len(_digests(folder) & sent)
    print_line(f"C-GET: {equal} of {len(sent)} data sets came back identical, byte for byte.")
    if equal != len(sent):
        raise DemoError("Some did not come back as they were sent.")


def _show(settings: Settings, entries: list[LedgerEntry]) -> None:
    """Print the ledger, and where the outputs lie."""
    columns = ("", "Instances", "State", "Revision", "Evidence", "Findings")
    print_table(columns, [_row(entry) for entry in entries], empty="Nothing.")
    outputs = [output for entry in entries for job in entry.jobs for output in job.outputs]
    print_line(f"All below {settings.export_folder}")
    for title, kind, pattern in SHOWN:
        paths = [PurePosixPath(output.path) for output in outputs if output.kind == kind]
        print_line(f"{title}: {len(paths)} files")
        for path in sorted(path for path in paths if path.match(pattern)):
            print_line(f"  {path}")


def _row(entry: LedgerEntry) -> tuple[object, ...]:
    findings = {finding.message for job in entry.jobs for finding in job.findings}
    reasons = " ".join(entry.reasons)
    return (
        entry.modality,
        entry.instance_count,
        entry.state,
        entry.revision,
        reasons,
        " ".join(sorted(findings)),
    )


if __name__ == "__main__":
    sys.exit(main())
