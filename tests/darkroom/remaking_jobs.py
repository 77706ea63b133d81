"""A processor for the tests of export and replay. It writes what the revision holds, so other input gives other bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from darkroom.outputs import OutputDraft
from db.engine import open_engines
from db.ledger import Ledger
from db.records import FindingRecord
from processing.errors import PixelError

if TYPE_CHECKING:
    from pathlib import Path

    from config.settings import Settings
    from db.records import JobRecord


def run_job(
    job: JobRecord, settings: Settings, staging: Path
) -> tuple[tuple[OutputDraft, ...], tuple[FindingRecord, ...]]:
    if job.processor == "dicom":
        raise PixelError("the codestream is cut short", sop_instance_uids=("1.2.3",))
    engines = open_engines(settings.data_folder)
    instances = Ledger(engines).revision_instances(job.series_id, job.revision)
    engines.close()
    staged = f"{job.processor}.out"
    (staging / staged).write_text(f"{job.processor} {job.parameters} {len(instances)}")
    draft = OutputDraft(path=f"{job.route}/1.2/1.2.3/r{job.revision}/{staged}", staged=staged, kind="nifti")
    return (draft,), (FindingRecord(code="seen", message="Slice 3 is missing."),)
