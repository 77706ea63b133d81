"""Processors on a real archive: what each makes of a series, what it leaves out, and what it says of that."""

from __future__ import annotations

import gzip
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless, SegmentationStorage

from darkroom.archive import open_archive
from darkroom.errors import KeyFileError
from darkroom.importer import Importer
from darkroom.key_file import read_key
from darkroom.part10 import read_head
from darkroom.processors import PROCESSORS, run_job
from db.records import JobRequest
from processing.errors import DeidentificationError, PixelError, ProcessingError
from processing.pseudonyms import Pseudonyms
from tests.series_factory import CANARY_ID, SeriesGeometry, ct_series, mr_series, part10, set_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from darkroom.outputs import OutputDraft
    from db.records import FindingRecord
    from tests.darkroom.command_line import CommandLine

HELD_VALUE = 4711
"""A stored value that only the held instance has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What one job wrote and said."""

    drafts: tuple[OutputDraft, ...]
    findings: tuple[FindingRecord, ...]
    files: dict[str, bytes]
    """By their names in the staging folder."""

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The instances of each finding, by its code."""
        return {finding.code: finding.sop_instance_uids for finding in self.findings}

    def content(self) -> bytes:
        """Everything that would leave, compressed parts unpacked, paths with it."""
        plain = [gzip.decompress(data) if name.endswith(".gz") else data for name, data in self.files.items()]
        return b"\n".join([*plain, *(draft.path.encode() for draft in self.drafts)])


def take_in(darkroom: CommandLine, datasets: Iterable[pydicom.Dataset]) -> None:
    """Import instances."""
    with open_archive(darkroom.settings) as archive:
        taken = list(
            Importer(archive=archive, settings=darkroom.settings).run([darkroom.write(list(datasets))])
        )
    assert {each.fate for each in taken} == {"stored"}


def run(darkroom: CommandLine, processor: str, *, deidentify: bool = True) -> Made:
    """Close the only series with one job, and run it in a staging folder of its own."""
    darkroom.close_series(
        JobRequest(route="research", processor=processor, parameters={"deidentify": deidentify})
    )
    return run_again(darkroom)


def run_again(darkroom: CommandLine) -> Made:
    """Run the only job once more."""
    with open_archive(darkroom.settings) as archive:
        (job,) = archive.queue.jobs()
    staging = darkroom.folder / f"staging-{time.monotonic_ns()}"
    staging.mkdir()
    drafts, findings = run_job(job, darkroom.settings, staging)
    written = {
        str(path.relative_to(staging)): path.read_bytes() for path in staging.rglob("*") if path.is_file()
    }
    assert written.keys() == {draft.staged for draft in drafts}
    return Made(drafts=drafts, findings=findings, files=written)


def with_one_held(**attributes: object) -> list[pydicom.Dataset]:
    """A CT series whose last instance has a reason to be held, and pixels that would be known again."""
    datasets = ct_series(SeriesGeometry(slices=5))
    for keyword, value in attributes.items():
        setattr(datasets[-1], keyword, value)
    set_pixels(datasets[-1], np.full((6, 8), HELD_VALUE, dtype=np.int16))
    return datasets


def exported_uids(darkroom: CommandLine, datasets: Sequence[pydicom.Dataset]) -> list[str]:
    pseudonyms = Pseudonyms(read_key(darkroom.settings.key_file))
    return [pseudonyms.uid(dataset.SOPInstanceUID) for dataset in datasets]


@pytest.mark.parametrize("deidentify", [True, False])
@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_same_series_gives_the_same_bytes(
    darkroom: CommandLine, processor: str, deidentify: bool
) -> None:
    """A job that runs again, after a crash for example, replaces its files with the same."""
    datasets = mr_series(SeriesGeometry(slices=4))
    take_in(darkroom, reversed(datasets))
    first = run(darkroom, processor, deidentify=deidentify)
    second = run_again(darkroom)
    assert first.files
    assert (first.files, first.drafts, first.findings) == (second.files, second.drafts, second.findings)
    originals = {original for draft in first.drafts for original, _ in draft.inputs}
    assert originals == {dataset.SOPInstanceUID for dataset in datasets}
    assert (datasets[0].SOPInstanceUID.encode() in first.content()) is (not deidentify and processor != "png")


def test_pictures_are_one_sheet_and_one_picture_a_slice(darkroom: CommandLine) -> None:
    """Each picture is linked to the instances that it shows."""
    datasets = ct_series(SeriesGeometry(slices=4))
    take_in(darkroom, datasets)
    made = run(darkroom, "png")
    by_name = {draft.staged: [original for original, _ in draft.inputs] for draft in made.drafts}
    assert by_name.pop("volume-1.png") == [dataset.SOPInstanceUID for dataset in datasets]
    assert by_name == {
        f"volume-1/slice-{number:04}.png": [dataset.SOPInstanceUID]
        for number, dataset in enumerate(datasets, start=1)
    }


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned-in-annotation"),
        ({"RecognizableVisualFeatures": "YES"}, "recognizable-visual-features"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screen"),
    ],
)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_held_instance_leaves_in_no_form(
    darkroom: CommandLine, processor: str, attributes: dict[str, object], code: str
) -> None:
    """The others leave without it: no voxel, no picture, no copy, not even its new UID; and a finding names it."""
    datasets = with_one_held(**attributes)
    held = datasets[-1]
    take_in(darkroom, datasets)
    made = run(darkroom, processor)
    assert made.named[code] == (held.SOPInstanceUID,)
    assert made.drafts
    assert held.SOPInstanceUID not in {uid for draft in made.drafts for uid, _ in draft.inputs}
    content = made.content()
    *_, new_uid = exported_uids(darkroom, datasets)
    assert new_uid.encode() not in content
    assert held.PixelData[:8] not in content
    if processor == "nifti":
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(made.files["volume-1.nii.gz"]))
        assert image.shape == (8, 6, 4)
        assert HELD_VALUE - 1024 not in np.asanyarray(image.dataobj)
    elif processor == "png":
        assert len(made.drafts) == 1 + 4
    else:
        assert len(made.drafts) == 4


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_series_that_is_held_whole_makes_nothing(darkroom: CommandLine, processor: str) -> None:
    """That is no failure, which would be tried again: every instance is named, and nothing is written."""
    datasets = ct_series(SeriesGeometry(slices=3))
    for dataset in datasets:
        dataset.BurnedInAnnotation = "YES"
    take_in(darkroom, datasets)
    made = run(darkroom, processor)
    assert made.drafts == ()
    named = sorted(uid for finding in made.findings for uid in finding.sop_instance_uids)
    assert named == sorted(dataset.SOPInstanceUID for dataset in datasets)


def test_a_copy_with_something_in_its_unused_bits_is_held(darkroom: CommandLine) -> None:
    """What only the pixels' bytes tell is found when they are read; the finding names the instance then too."""
    datasets = ct_series(SeriesGeometry(slices=3))
    bad = datasets[1]
    stored = np.full((6, 8), 0x4000, dtype=np.uint16)
    set_pixels(bad, stored)
    bad.compress(RLELossless, stored, encoding_plugin="pydicom", generate_instance_uid=False)
    bad.BitsStored, bad.HighBit = 12, 11
    take_in(darkroom, datasets)
    made = run(darkroom, "dicom")
    assert made.named == {"failed": (bad.SOPInstanceUID,)}
    assert len(made.drafts) == 2


@pytest.mark.parametrize(
    ("processor", "error"), [("nifti", PixelError), ("png", PixelError), ("dicom", DeidentificationError)]
)
def test_nothing_at_all_is_an_error(
    darkroom: CommandLine, processor: str, error: type[ProcessingError]
) -> None:
    """A series of which nothing can be made ends its job as failed; the text says why, and nothing of the patient."""
    (dataset,) = ct_series(SeriesGeometry(slices=1))
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([b"nonsense"])
    dataset["PixelData"].is_undefined_length = True
    take_in(darkroom, [dataset])
    with pytest.raises(error) as caught:
        run(darkroom, processor)
    assert CANARY_ID not in str(caught.value)


@pytest.mark.parametrize("processor", PROCESSORS)
def test_one_failure_leaves_the_others(darkroom: CommandLine, processor: str) -> None:
    """An image that does not decode is named; what else the series holds is made."""
    datasets = ct_series(SeriesGeometry(slices=4))
    (bad,) = ct_series(SeriesGeometry(slices=1, rows=10))
    bad.SOPInstanceUID = bad.file_meta.MediaStorageSOPInstanceUID = "2.25.4711"
    bad.file_meta.TransferSyntaxUID = JPEG2000Lossless
    bad.PixelData = encapsulate([b"nonsense"])
    bad["PixelData"].is_undefined_length = True
    take_in(darkroom, [*datasets, bad])
    made = run(darkroom, processor)
    assert made.named["failed"] == ("2.25.4711",)
    made_of = {original for draft in made.drafts for original, _ in draft.inputs}
    assert made_of == {dataset.SOPInstanceUID for dataset in datasets}


def test_an_image_without_a_picture_is_named(darkroom: CommandLine) -> None:
    """Without pixel data there is nothing to show: the other slices are shown, and the finding says why this is not."""
    datasets = ct_series(SeriesGeometry(slices=4))
    del datasets[-1].PixelData
    take_in(darkroom, datasets)
    made = run(darkroom, "png")
    assert made.named == {"no-pixel-data": (datasets[-1].SOPInstanceUID,)}
    shown = {original for draft in made.drafts for original, _ in draft.inputs}
    assert shown == {dataset.SOPInstanceUID for dataset in datasets[:-1]}


def test_findings_of_the_plan_are_recorded(darkroom: CommandLine) -> None:
    """A gap makes no volume; the finding says between which instances it is."""
    datasets = ct_series(SeriesGeometry(slices=6, missing={2}))
    take_in(darkroom, datasets)
    made = run(darkroom, "nifti")
    assert made.drafts == ()
    (finding,) = made.findings
    assert finding.code == "missing-slices"
    assert datasets[1].SOPInstanceUID in str(finding.details)


def test_a_copy_for_those_who_may_know_is_the_original(darkroom: CommandLine) -> None:
    """A route that keeps the identity gives every data set as it came, byte for byte, held ones too."""
    datasets = with_one_held(BurnedInAnnotation="YES")
    take_in(darkroom, datasets)
    made = run(darkroom, "dicom", deidentify=False)
    assert made.findings == ()
    for dataset in datasets:
        original, copy = part10(dataset), made.files[f"{dataset.SOPInstanceUID}.dcm"]
        assert copy[read_head(copy).dataset_offset :] == original[read_head(original).dataset_offset :]
        assert copy[:128] == bytes(128)
    folder = f"research/{datasets[0].StudyInstanceUID}/{datasets[0].SeriesInstanceUID}/r1/dicom"
    assert {str(Path(draft.path).parent) for draft in made.drafts} == {folder}


def test_deidentified_copies_are_named_by_what_they_hold(darkroom: CommandLine) -> None:
    """The name of a file is its new SOP Instance UID, and its folders are the new study and series."""
    datasets = ct_series(SeriesGeometry(slices=3))
    take_in(darkroom, datasets)
    made = run(darkroom, "dicom")
    assert sorted(made.files) == sorted(f"{uid}.dcm" for uid in exported_uids(darkroom, datasets))
    for draft in made.drafts:
        copy = pydicom.dcmread(io.BytesIO(made.files[draft.staged]))
        assert draft.path == (
            f"research/{copy.StudyInstanceUID}/{copy.SeriesInstanceUID}/r1/dicom/{copy.SOPInstanceUID}.dcm"
        )
        assert copy.PatientIdentityRemoved == "YES"


@pytest.mark.parametrize("processor", PROCESSORS)
def test_without_a_key_nothing_leaves(darkroom: CommandLine, processor: str) -> None:
    """A lost key is an error, never an export that keeps the identity or invents another key."""
    take_in(darkroom, ct_series(SeriesGeometry(slices=2)))
    darkroom.settings.key_file.unlink()
    with pytest.raises(KeyFileError):
        run(darkroom, processor)
    assert not darkroom.settings.key_file.exists()


def test_pixels_of_one_bit_have_a_finding_and_no_picture(darkroom: CommandLine) -> None:
    """An image whose pixels are bits, as segmentations have them, is named; the job does not fail over it."""
    (dataset,) = ct_series(SeriesGeometry(slices=1))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    dataset.PixelData = bytes(6)
    take_in(darkroom, [dataset])
    made = run(darkroom, "png")
    assert made.drafts == ()
    assert made.named["not-supported"] == (dataset.SOPInstanceUID,)
