"""The corpus' plain CT and MR series, sent in no order over four associations: each ends as it must.

What each must become, and that it equals SimpleITK's and dcm2niix's volumes, is in tests/conformance/test_volumes.py; here the
node must arrive at the very same bytes, whatever the order of arrival.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from processing.nifti import encode_nifti
from processing.volume import fill_volume
from tests.conformance.test_volumes import TABLE, Series, corpus_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from db.records import LedgerEntry
    from tests.end_to_end.running_node import RunningNode

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.witness,
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]

UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
ASSOCIATIONS = 4


def test_every_plain_series_ends_as_it_must(start_node: Callable[..., RunningNode]) -> None:
    """Each series' published volumes are the expected bytes; each instance is in a volume or named in a finding."""
    node = start_node()
    wanted = {name: series for name, series in corpus_series().items() if name in TABLE and _is_plain(series)}
    assert len(wanted) > 20
    files = [file for series in wanted.values() for file in series.files]
    random.Random(4).shuffle(files)
    shares = [files[number::ASSOCIATIONS] for number in range(ASSOCIATIONS)]
    with ThreadPoolExecutor(ASSOCIATIONS) as pool:
        answers = list(pool.map(lambda share: node.storescu(share, "-nh", "-v", check=False), shares))
    entries: dict[str, LedgerEntry] = {
        entry.series_instance_uid: entry
        for entry in node.await_quiet(len({_uid(series) for series in wanted.values()}))
    }
    assert sum(entry.instance_count for entry in entries.values()) == len(files), answers
    for name, series in wanted.items():
        entry = entries[_uid(series)]
        plan = series.plan()
        expected = sorted(encode_nifti(fill_volume(volume, series.read)) for volume in plan.volumes)
        made = sorted(path.read_bytes() for path in _outputs(node, entry, "nifti"))
        assert made == expected, name
        used = {
            uid
            for job in entry.jobs
            for output in job.outputs
            if output.kind == "nifti"
            for uid, _ in output.inputs
        }
        reported = {
            uid for job in entry.jobs for finding in job.findings for uid in finding.sop_instance_uids
        }
        assert {header.sop_instance_uid for header in series.headers} <= used | reported, name


def _is_plain(series: Series) -> bool:
    return all(
        header.modality in {"CT", "MR"} and header.transfer_syntax_uid in UNCOMPRESSED
        for header in series.headers
    )


def _uid(series: Series) -> str:
    return series.headers[0].series_instance_uid


def _outputs(node: RunningNode, entry: LedgerEntry, kind: str) -> list[Path]:
    folder = node.settings.export_folder
    return [folder / output.path for job in entry.jobs for output in job.outputs if output.kind == kind]
