"""A planted patient goes through everything, and is then searched for in every byte that leaves."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.test_whole_way import write
from tests.series_factory import CANARY_ID, CANARY_NAME, SeriesGeometry, ct_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.end_to_end.running_node import RunningNode

pytestmark = pytest.mark.witness

ALL_EXPORTS = """
[[routes]]
name = "all"
processors = ["nifti", "png", "dicom"]
"""
FREE_TEXT = "Kanariengelb flattert am Fenster"
PLANTED = [
    *CANARY_NAME.split("^"),
    CANARY_ID,
    "19550505",
    "1955-05-05",
    "20240229",
    "2024-02-29",
    FREE_TEXT,
    "Kanariengelb",
    "ZKA0001",
    "Verwijzer",
    "Dorothea",
]


def test_planted_patient_is_in_no_byte_that_leaves(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """No name, ID, date or free text is in any export, log, file name, or in the answer to a bad request."""
    node = start_node(ALL_EXPORTS)
    datasets = ct_series(SeriesGeometry(slices=4))
    for dataset in datasets:
        dataset.PatientComments = dataset.ImageComments = dataset.StudyDescription = FREE_TEXT
        dataset.InstitutionName = dataset.PerformingPhysicianName = FREE_TEXT
        block = dataset.private_block(0x0029, CANARY_ID, create=True)
        block.add_new(0x01, "LO", FREE_TEXT)
    paths = write(tmp_path / "in", datasets)
    node.storescu(paths)
    node.await_quiet(1)
    node.run("findscu", ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"PatientName={CANARY_NAME}"])
    node.run(
        "findscu", ["-S", "-k", "QueryRetrieveLevel=NONSENSE", "-k", f"PatientID={CANARY_ID}"], check=False
    )
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(paths[0].read_bytes()[:-100])
    node.storescu([broken], check=False)
    assert node.stop() == 0

    uids = [
        str(dataset[keyword].value)
        for dataset in datasets
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID")
    ]
    exports = node.settings.export_folder
    assert len(list(exports.rglob("*.dcm"))) == 4
    assert list(exports.rglob("*.nii.gz"))
    for name, content in leaving_bytes(node):
        for planted in [*PLANTED, *([] if name == "log" else uids)]:
            for spelled in (planted.encode(), planted.encode("utf-16-le")):
                assert spelled not in content, f"{planted} is in {name}"


def leaving_bytes(node: RunningNode) -> Iterator[tuple[str, bytes]]:
    """Yield every export (compressed ones unpacked), every path, and the log."""
    for folder, _, files in os.walk(node.settings.export_folder):
        for file in files:
            path = Path(folder, file)
            yield "a path", str(path).encode()
            content = path.read_bytes()
            yield path.suffix, gzip.decompress(content) if path.suffix == ".gz" else content
    for path in node.settings.data_folder.rglob("*"):
        yield "a file name in the store", path.name.encode()
    yield "log", node.log.read_bytes()
