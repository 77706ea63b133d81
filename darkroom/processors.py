"""The processors: what is made of a closed series.

A processor gets a `SeriesInput`, writes its files into a staging folder, and says what it wrote and what it found.
It runs in a child process with limits, and the same input gives the same bytes.

Files lie in ``<route>/<study>/<series>/r<revision>/<processor>/``. In a de-identified export the UIDs in that path are the
replaced ones; no name in it comes from a patient's data.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from darkroom.outputs import OutputDraft
from darkroom.series_input import read_series
from db.engine import open_engines
from db.identity import check_uid
from db.ledger import Ledger
from db.records import FindingRecord
from db.store import Store
from processing.contact_sheet import encode_contact_sheet
from processing.deidentify import deidentify, encode
from processing.errors import ProcessingError
from processing.findings import Finding, FindingCode, failure_finding
from processing.nifti import encode_nifti
from processing.pictures import encode_frame_picture, encode_slice_picture
from processing.pixels import BITS_ALLOCATED
from processing.sidecar import describe_volume, encode_sidecar, technical_attributes
from processing.volume import fill_volume, plan_volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from config.settings import Settings
    from darkroom.series_input import SeriesInput
    from db.records import JobRecord
    from processing.frames import FrameHeader
    from processing.volume import VolumePlan

DISTRIBUTION = "dicom-darkroom"


@dataclass(slots=True)
class Bench:
    """Where one job works: the series, the staging folder, and what came of it so far."""

    series: SeriesInput
    job: JobRecord
    staging: Path
    drafts: list[OutputDraft] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    failures: list[ProcessingError] = field(default_factory=list)

    def write(self, name: str, kind: str, content: bytes, sop_instance_uids: Sequence[str]) -> None:
        """Write one output into the staging folder and remember from which instances it was made."""
        path = self.staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        inputs = tuple((uid, self.series.exported_uid(uid)) for uid in sop_instance_uids)
        self.drafts.append(
            OutputDraft(
                path=f"{_folder(self.job, self.series)}/{name}", staged=name, kind=kind, inputs=inputs
            )
        )

    def fail(self, error: ProcessingError, sop_instance_uids: Sequence[str]) -> None:
        """Remember that one output could not be made; the others are still tried.

        Where the error does not know its instances, the finding names those of the output.
        """
        finding = failure_finding(error)
        named = finding.sop_instance_uids or tuple(sorted(sop_instance_uids))
        self.failures.append(error)
        self.findings.append(replace(finding, sop_instance_uids=named))


def run_job(
    job: JobRecord, settings: Settings, staging: Path
) -> tuple[tuple[OutputDraft, ...], tuple[FindingRecord, ...]]:
    """Run one job on its revision's instances and return its drafts and findings.

    Raises
    ------
    ProcessingError
        If nothing at all could be made of the series because something failed: the first failure.
    KeyFileError, DbError
        If the key, the index or the store cannot be read.
    """
    engines = open_engines(settings.data_folder)
    try:
        instances = Ledger(engines).revision_instances(job.series_id, job.revision)
    finally:
        engines.close()
    series = read_series(
        instances, Store(settings.data_folder), settings, deidentify=bool(job.parameters["deidentify"])
    )
    bench = Bench(series=series, job=job, staging=staging, findings=list(series.findings))
    PROCESSORS[job.processor](bench)
    if bench.failures and not bench.drafts:
        raise bench.failures[0]
    return tuple(bench.drafts), tuple(_record(finding) for finding in bench.findings)


def export_nifti(bench: Bench) -> None:
    """Write every volume of the series as ``.nii.gz`` with its JSON sidecar."""
    plan = plan_volumes(bench.series.headers)
    bench.findings.extend(plan.all_findings)
    for number, volume_plan in enumerate(plan.volumes, start=1):
        try:
            nifti, sidecar = _develop(bench, volume_plan)
        except ProcessingError as error:
            bench.fail(error, volume_plan.sop_instance_uids)
            continue
        bench.write(f"volume-{number}.nii.gz", "nifti", nifti, volume_plan.sop_instance_uids)
        bench.write(f"volume-{number}.json", "sidecar", sidecar, volume_plan.sop_instance_uids)


def _develop(bench: Bench, plan: VolumePlan) -> tuple[bytes, bytes]:
    """Return one volume as NIfTI and its sidecar."""
    series = bench.series
    volume = fill_volume(plan, series.read)
    sidecar = describe_volume(
        volume,
        technical_attributes(series.read_dataset(plan.sop_instance_uids[0], pixels=False)),
        findings=plan.findings,
        exported_uid=series.exported_uid,
        parameters={**bench.job.parameters, "processor": bench.job.processor, "revision": bench.job.revision},
        version=version(DISTRIBUTION),
    )
    return encode_nifti(volume), encode_sidecar(sidecar)


def export_png(bench: Bench) -> None:
    """Write a contact sheet and the slices of every volume, and the frames of every other image."""
    plan = plan_volumes(bench.series.headers)
    for number, volume_plan in enumerate(plan.volumes, start=1):
        try:
            volume = fill_volume(volume_plan, bench.series.read)
        except ProcessingError as error:
            bench.fail(error, volume_plan.sop_instance_uids)
            continue
        uids = volume_plan.sop_instance_uids
        bench.write(f"volume-{number}.png", "png", encode_contact_sheet(volume), uids)
        for index, uid in enumerate(uids):
            picture = encode_slice_picture(volume, index)
            bench.write(f"volume-{number}/slice-{index + 1:04}.png", "png", picture, (uid,))
    in_volumes = {uid for volume_plan in plan.volumes for uid in volume_plan.sop_instance_uids}
    others = [header for header in bench.series.headers if header.sop_instance_uid not in in_volumes]
    for number, header in enumerate(sorted(others, key=_by_number), start=1):
        _picture_frames(bench, header, number)


def _picture_frames(bench: Bench, header: FrameHeader, number: int) -> None:
    """Write a picture of each frame of an image that is in no volume."""
    obstacle = _obstacle(header)
    if obstacle is not None:
        bench.findings.append(obstacle)
        return
    try:
        dataset = bench.series.read(header)
        for frame in range(header.number_of_frames):
            picture = encode_frame_picture(dataset, header, frame=frame)
            bench.write(
                f"image-{number:04}/frame-{frame + 1:04}.png", "png", picture, (header.sop_instance_uid,)
            )
    except ProcessingError as error:
        bench.fail(error, (header.sop_instance_uid,))


def _obstacle(header: FrameHeader) -> Finding | None:
    """Return why there is no picture of an image, as far as its header tells."""
    about = (header.sop_instance_uid,)
    if not header.has_pixel_data:
        return Finding(
            code=FindingCode.NO_PIXEL_DATA, message="No pixel data: no image.", sop_instance_uids=about
        )
    if header.bits_allocated not in BITS_ALLOCATED:
        message = f"Pictures are not made of pixels of {header.bits_allocated} bits."
        return Finding(code=FindingCode.NOT_SUPPORTED, message=message, sop_instance_uids=about)
    if header.samples_per_pixel not in {None, 1}:
        message = "The image is in colour; pictures are made of monochrome images only."
        return Finding(code=FindingCode.COLOUR, message=message, sop_instance_uids=about)
    return None


def _by_number(header: FrameHeader) -> tuple[int, str]:
    return header.instance_number or 0, header.sop_instance_uid


def export_dicom(bench: Bench) -> None:
    """Write a copy of every instance: de-identified, or where the route says so as it came."""
    series = bench.series
    for uid in series.instances:
        try:
            content = _copy(series, uid)
        except ProcessingError as error:
            bench.fail(error, (uid,))
            continue
        bench.write(f"{series.exported_uid(uid)}.dcm", "dicom", content, (uid,))


def _copy(series: SeriesInput, sop_instance_uid: str) -> bytes:
    if series.pseudonyms is None:
        with series.store.open(series.instances[sop_instance_uid].file.key) as file:
            return file.read()
    dataset = series.read_dataset(sop_instance_uid)
    return encode(deidentify(dataset, pseudonyms=series.pseudonyms).dataset)


PROCESSORS: Mapping[str, Callable[[Bench], None]] = {
    "nifti": export_nifti,
    "png": export_png,
    "dicom": export_dicom,
}


def _folder(job: JobRecord, series: SeriesInput) -> str:
    """Return where a job's outputs lie, relative to the export folder."""
    study = check_uid(series.exported_uid(series.study_instance_uid))
    of_series = check_uid(series.exported_uid(job.series_instance_uid))
    return f"{job.route}/{study}/{of_series}/r{job.revision}/{job.processor}"


def _record(finding: Finding) -> FindingRecord:
    return FindingRecord(
        code=str(finding.code),
        message=finding.message,
        sop_instance_uids=finding.sop_instance_uids,
        details=dict(finding.details),
    )
