"""Bad input gets a clear answer, loses nothing, and the node goes on."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE, _config

from db.records import JobState
from tests.end_to_end.test_whole_way import outputs, write
from tests.series_factory import SeriesGeometry, ct_series, set_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.end_to_end.running_node import RunningNode

pytestmark = pytest.mark.witness


def send_as_they_are(node: RunningNode, paths: Sequence[Path], transfer_syntax_uid: str) -> list[int]:
    """Send files' data sets without looking into them, in one association, and return the statuses."""
    monkey = pytest.MonkeyPatch()
    monkey.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    ae = AE(ae_title="TESTER")
    ae.add_requested_context(CTImageStorage, transfer_syntax_uid)
    association = ae.associate("127.0.0.1", node.port)
    statuses = [association.send_c_store(path).Status for path in paths]
    association.release()
    monkey.undo()
    return statuses


def test_truncated_instance_is_refused_with_a_status(
    tmp_path, start_node: Callable[..., RunningNode]
) -> None:
    """A data set whose pixels were cut off is refused, the next one in the same association is kept."""
    node = start_node()
    whole, broken = write(tmp_path / "in", ct_series(SeriesGeometry(slices=2)))
    broken.write_bytes(broken.read_bytes()[:-20])
    assert send_as_they_are(node, [broken, whole], ExplicitVRLittleEndian) == [0xC000, 0x0000]
    (entry,) = node.await_quiet(1)
    assert entry.instance_count == 1


def test_images_of_two_sizes_become_two_volumes(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """Images that differ in size are never forced onto one grid."""
    node = start_node()
    datasets = ct_series(SeriesGeometry(slices=6))
    for dataset in datasets[3:]:
        set_pixels(dataset, np.ones((4, 4), dtype=np.int16))
    node.storescu(write(tmp_path / "in", datasets))
    (entry,) = node.await_quiet(1)
    assert len(outputs(node, entry, "nifti")) == 2


def test_instance_without_pixels_is_a_finding(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """A CT image without pixel data is kept and named; the others make their volume."""
    node = start_node()
    datasets = ct_series(SeriesGeometry(slices=5))
    del datasets[-1].PixelData
    node.storescu(write(tmp_path / "in", datasets))
    (entry,) = node.await_quiet(1)
    assert entry.instance_count == 5
    codes = {
        finding.code: finding.sop_instance_uids
        for job in entry.jobs
        if job.processor == "nifti"
        for finding in job.findings
    }
    assert codes["no-pixel-data"] == (datasets[-1].SOPInstanceUID,)
    assert len(outputs(node, entry, "nifti")) == 1


def test_unreadable_codestream_is_a_failed_job(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """A compressed image that no decoder reads is kept; its job fails at once and says why, and others go on."""
    node = start_node()
    (bad,) = ct_series(SeriesGeometry(slices=1), name="bad")
    bad.file_meta.TransferSyntaxUID = JPEG2000Lossless
    bad.PixelData = encapsulate([b"nonsense"])
    bad["PixelData"].is_undefined_length = True
    good = deepcopy(ct_series(SeriesGeometry(slices=3), name="good"))
    assert send_as_they_are(node, write(tmp_path / "bad", [bad]), JPEG2000Lossless) == [0x0000]
    node.storescu(write(tmp_path / "good", good))
    entries = {entry.series_instance_uid: entry for entry in node.await_quiet(2)}
    failed = [job for job in entries[bad.SeriesInstanceUID].jobs if job.processor == "nifti"]
    assert [(job.state, job.tries) for job in failed] == [(JobState.FAILED, 1)]
    assert all(job.error for job in failed)
    assert len(outputs(node, entries[good[0].SeriesInstanceUID], "nifti")) == 1


def test_same_uid_with_other_bytes_is_refused_and_recorded(
    tmp_path, start_node: Callable[..., RunningNode]
) -> None:
    """The first content stays, the second is refused and counted, and the first sent again is acknowledged."""
    node = start_node()
    datasets = ct_series(SeriesGeometry(slices=3))
    paths = write(tmp_path / "in", datasets)
    node.storescu(paths)
    other = deepcopy(datasets[0])
    set_pixels(other, np.full((6, 8), 7, dtype=np.int16))
    refused = node.storescu(write(tmp_path / "other", [other]), check=False)
    assert refused.returncode != 0 or "0x0111" in refused.stdout + refused.stderr
    node.storescu(paths)
    (entry,) = node.await_quiet(1)
    assert (entry.instance_count, entry.conflict_count) == (3, 1)
    with node.archive() as archive:
        stored = archive.index.stored(datasets[0].SOPInstanceUID)
        assert stored is not None
        assert archive.store.read_dataset(stored).endswith(datasets[0].PixelData)
