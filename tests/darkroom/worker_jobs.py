"""Processors for the tests of the worker. What one does is the job's route, which is ``route <job id>``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from darkroom.outputs import OutputDraft
from db.records import FindingRecord
from processing.errors import PixelError
from tests.job_factory import SOP_INSTANCE_UIDS

if TYPE_CHECKING:
    from pathlib import Path

    from config.settings import Settings
    from db.records import JobRecord

CONTENT = b"volume" * 1000


def run_job(
    job: JobRecord, settings: Settings, staging: Path
) -> tuple[tuple[OutputDraft, ...], tuple[FindingRecord, ...]]:
    with (settings.data_folder / f"begun-{job.job_id}").open("a") as begun:
        begun.write(f"{os.getpid()}\n")
    assert list(staging.iterdir()) == []
    (staging / "volume.nii.gz").write_bytes(CONTENT)
    if job.job_id.startswith("slow"):
        time.sleep(0.3)
    elif job.job_id.startswith("endless"):
        time.sleep(600)
    elif job.job_id.startswith("bad"):
        raise PixelError("the codestream is cut short")
    draft = OutputDraft(
        path=f"{job.job_id}/1/volume.nii.gz",
        staged="volume.nii.gz",
        kind="nifti",
        inputs=tuple((uid, f"{uid}.1") for uid in SOP_INSTANCE_UIDS),
    )
    return (draft,), (FindingRecord(code="seen", message="a finding"),)
