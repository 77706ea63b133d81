"""From the sender's socket to the exported volume, with outside programs on both ends."""

from __future__ import annotations

import io
import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import PIL.Image
import pydicom
import pytest

from darkroom.part10 import read_head
from db.records import JobState, LedgerEntry, SeriesState
from tests.end_to_end.running_node import LOOPBACK_PEER, RunningNode, free_port
from tests.series_factory import OBLIQUE, SeriesGeometry, ct_series, mr_series, part10, world_linear
from tests.witnesses import dcmtk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

pytestmark = pytest.mark.witness


def write(folder: Path, datasets: Sequence[pydicom.Dataset]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        path.write_bytes(part10(dataset))
    return paths


def send_shuffled(node: RunningNode, paths: Sequence[Path], associations: int = 4) -> None:
    """Send files in no order over several associations at once."""
    order = list(paths)
    random.Random(11).shuffle(order)
    shares = [share for number in range(associations) if (share := order[number::associations])]
    with ThreadPoolExecutor(associations) as pool:
        list(pool.map(node.storescu, shares))


def dataset_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    return content[read_head(content).dataset_offset :]


def outputs(node: RunningNode, entry: LedgerEntry, kind: str) -> list[Path]:
    folder = node.settings.export_folder
    return [folder / output.path for job in entry.jobs for output in job.outputs if output.kind == kind]


def test_shuffled_series_becomes_one_exact_volume(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """An oblique CT sent in no order over four associations ends as the volume whose every voxel is in its place."""
    node = start_node()
    geometry = SeriesGeometry(slices=23, orientation_lps=OBLIQUE)
    datasets = ct_series(geometry)
    send_shuffled(node, write(tmp_path / "in", datasets))
    (entry,) = node.await_quiet(1)

    assert (entry.state, entry.revision, entry.instance_count) == (SeriesState.COMPLETE, 1, 23)
    assert entry.reasons
    (path,) = outputs(node, entry, "nifti")
    image = nibabel.load(path)
    indices = np.indices(image.shape).reshape(3, -1)
    world_lps = nibabel.affines.apply_affine(image.affine, indices.T) * [-1, -1, 1]
    assert np.allclose(np.asanyarray(image.dataobj).reshape(-1), world_linear(world_lps), atol=0.51)

    (sidecar,) = outputs(node, entry, "sidecar")
    named = json.loads(sidecar.read_text(encoding="utf-8"))
    text = json.dumps(named)
    assert all(dataset.SOPInstanceUID not in text for dataset in datasets), (
        "the original UIDs stay in the index"
    )
    linked = {inputs for job in entry.jobs for output in job.outputs for inputs in output.inputs}
    assert {original for original, _ in linked} == {dataset.SOPInstanceUID for dataset in datasets}
    assert all(exported in text for _, exported in linked)

    pictures = outputs(node, entry, "png")
    assert pictures
    for picture in pictures:
        with PIL.Image.open(io.BytesIO(picture.read_bytes())) as opened:
            assert opened.getextrema() != (0, 0)


def test_late_image_makes_a_new_revision(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """The last slice comes late: the series opens again, and revision 2 has a volume of all slices."""
    node = start_node()
    paths = write(tmp_path / "in", ct_series(SeriesGeometry(slices=8)))
    node.storescu(paths[:-1])
    (first,) = node.await_quiet(1)
    node.storescu(paths[-1:])
    (second,) = node.await_quiet(1, revision=2)
    assert [first.revision, second.revision] == [1, 2]
    by_revision = {
        output.path.split("/")[3]: nibabel.load(node.settings.export_folder / output.path).shape[2]
        for job in second.jobs
        for output in job.outputs
        if output.kind == "nifti"
    }
    assert by_revision == {"r1": 7, "r2": 8}


def test_gap_is_named_and_makes_no_volume(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """A series without its fifth slice is incomplete; the finding names the neighbours, and no volume is made."""
    node = start_node()
    datasets = ct_series(SeriesGeometry(slices=9, missing={4}))
    send_shuffled(node, write(tmp_path / "in", datasets))
    (entry,) = node.await_quiet(1)
    assert entry.state is SeriesState.INCOMPLETE
    assert outputs(node, entry, "nifti") == []
    (finding,) = [
        finding
        for job in entry.jobs
        if job.processor == "nifti"
        for finding in job.findings
        if finding.code == "missing-slices"
    ]
    (gap,) = finding.details["gaps"]  # type: ignore[misc]
    assert {gap["after_sop_instance_uid"], gap["before_sop_instance_uid"]} == {
        datasets[3].SOPInstanceUID,
        datasets[4].SOPInstanceUID,
    }


def test_everything_comes_back_as_it_was_sent(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """findscu finds every series, and getscu and movescu get every data set back byte for byte."""
    node = start_node(LOOPBACK_PEER.format(port=(move_port := free_port())))
    series = [ct_series(SeriesGeometry(slices=6)), mr_series(SeriesGeometry(slices=5))]
    sent = [path for number, each in enumerate(series) for path in write(tmp_path / f"in-{number}", each)]
    send_shuffled(node, sent)
    wanted = sorted(dataset_bytes(path) for path in sent)

    found = node.run(
        "findscu", ["-S", "-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID", "-k", "Modality"]
    )
    for datasets in series:
        assert datasets[0].SeriesInstanceUID in found.stdout + found.stderr

    got, moved = tmp_path / "got", tmp_path / "moved"
    for folder in (got, moved):
        folder.mkdir()
    for datasets in series:
        keys = [
            "-S",
            "-k",
            "QueryRetrieveLevel=STUDY",
            "-k",
            f"StudyInstanceUID={datasets[0].StudyInstanceUID}",
        ]
        node.run("getscu", ["-od", str(got), "+B", *keys])
        # movescu forgets -od where it is to keep the bytes as they come
        node.run("movescu", ["-aem", "TESTER", "+P", str(move_port), "+B", *keys], into=moved)
    assert sorted(dataset_bytes(path) for path in got.iterdir()) == wanted
    assert sorted(dataset_bytes(path) for path in moved.iterdir()) == wanted


def test_stops_in_order(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """SIGTERM ends the node with exit code 0, no draft is left, and a new start goes on where it was."""
    node = start_node()
    node.storescu(write(tmp_path / "in", ct_series(SeriesGeometry(slices=3))))
    assert node.stop() == 0
    assert not list((node.settings.data_folder / "drafts").iterdir())
    node.start()
    (entry,) = node.await_quiet(1)
    assert {job.state for job in entry.jobs} == {JobState.DONE}


def test_twenty_kills_lose_nothing(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """Twenty kill -9 at random moments while four associations send: what was answered 0x0000 is there, unchanged."""
    dcmtk("storescu")
    node = start_node()
    paths = write(tmp_path / "in", ct_series(SeriesGeometry(slices=160, rows=64, columns=64)))
    by_uid = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: path for path in paths}
    chance = random.Random(20)
    acknowledged: set[str] = set()
    for _ in range(20):
        with ThreadPoolExecutor(5) as pool:
            killing = pool.submit(_kill_after, node, chance.uniform(0.05, 1.0))
            shares = [chance.sample(paths, len(paths)) for _ in range(4)]
            answers = list(pool.map(lambda share: node.storescu(share, "-v", check=False), shares))
            killing.result()
        for share, answer in zip(shares, answers, strict=True):
            acknowledged |= _acknowledged(share, answer.stdout + answer.stderr, by_uid)
        node.start()
    assert len(acknowledged) > 40, "the kills came too early to prove anything"
    with node.archive() as archive:
        for uid in acknowledged:
            stored = archive.index.stored(uid)
            assert stored is not None, f"{uid} was acknowledged and is lost"
            assert archive.store.read_dataset(stored) == dataset_bytes(by_uid[uid])
        for listed in archive.index.all_instances():
            archive.store.check(listed)


def _kill_after(node: RunningNode, pause_s: float) -> None:
    import time

    time.sleep(pause_s)
    node.kill()


def _acknowledged(share: Sequence[Path], log: str, by_uid: dict[str, Path]) -> set[str]:
    """Return the UIDs of the files that storescu, which sends one after another, got a success for."""
    names = {path: uid for uid, path in by_uid.items()}
    acknowledged: set[str] = set()
    current: Path | None = None
    paths = {str(path): path for path in share}
    for line in log.splitlines():
        word = line.rsplit(" ", 1)[-1]
        if "Sending file:" in line:
            current = paths.get(word)
        elif "Received Store Response (Success)" in line and current is not None:
            acknowledged.add(names[current])
    return acknowledged
