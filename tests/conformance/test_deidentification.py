"""De-identified copies of real instances, before outside judges: dciodvfy for the IOD, pydicom's decoders for the pixels."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import subprocess
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.data import get_testdata_file

from processing.deidentify import deidentify, encode
from processing.holds import hold_reasons
from processing.profile import DEFAULT_PROFILE, Profile
from processing.pseudonyms import Pseudonyms
from tests.conftest import CORPUS
from tests.planted_patient import holds, planted_patient, table_tags
from tests.series_factory import ct_series, mr_series, part10, pet_series
from tests.witnesses import tool

PSEUDONYMS = Pseudonyms(bytes(range(32)))
STRICT = Profile(options=frozenset())
SETS = [
    "ct_enhanced",
    "ct_head_ge",
    "ct_pet_mr_rtstruct",
    "dx_cr_mono1",
    "mr_dwi",
    "mr_dwi_dicom2nifti",
    "mr_enhanced",
    "mr_fmri_4d_ge",
    "mr_mosaic_siemens",
    "multiframe_cine",
    "rt_misc",
    "seg_sr",
    "ts_ct",
    "ts_mr_mosaic",
]
OF_PYDICOM = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "JPEG2000.dcm",
    "image_dfl.dcm",
    "rtdose.dcm",
    "rtplan.dcm",
    "liver_1frame.dcm",
)
GEOMETRY = [
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "NumberOfFrames",
    "BitsStored",
    "PhotometricInterpretation",
    "GridFrameOffsetVector",
    "DoseGridScaling",
]


def sample() -> list[str]:
    """One instance of each series and transfer syntax of the sets that hold images."""
    index = CORPUS / "INDEX.tsv"
    if not index.is_file():
        return []
    with index.open(encoding="utf-8", newline="") as stream:
        rows = [
            row
            for row in csv.DictReader(stream, delimiter="\t")
            if row["kind"] == "dicom" and row["set"] in SETS
        ]
    return sorted(
        {(row["set"], row["series_uid"], row["ts"]): row["path"] for row in reversed(rows)}.values()
    )


def faults(data: bytes, folder: Path) -> Counter[str]:
    """dciodvfy's errors, without the UIDs in them."""
    path = folder / f"{hashlib.sha256(data).hexdigest()}.dcm"
    path.write_bytes(data)
    answer = subprocess.run(
        [tool("dciodvfy"), str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    lines = (answer.stdout + answer.stderr).splitlines()
    return Counter(re.sub(r"\d+(\.\d+){2,}", "UID", line) for line in lines if line.startswith("Error"))


def read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def copies(data: bytes, profile: Profile) -> bytes:
    return encode(deidentify(read(data), profile=profile, pseudonyms=PSEUDONYMS).dataset)


def pixels(dataset: pydicom.Dataset) -> str:
    """The hash of the decoded pixels; empty where pydicom has no decoder for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return hashlib.sha256(np.ascontiguousarray(dataset.pixel_array).tobytes()).hexdigest()
        except (AttributeError, RuntimeError, ValueError, NotImplementedError):
            return ""


def check(data: bytes, profile: Profile, folder: Path) -> None:
    result = copies(data, profile)
    before, after = read(data), read(result)
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert pixels(after) == pixels(before)
    assert {k: after.get(k) for k in GEOMETRY} == {k: before.get(k) for k in GEOMETRY}
    assert faults(result, folder) - faults(data, folder) == Counter()
    assert leaks(before, result) == []


# Test patients are called after what they are; those words are all over the standard.
COMMON = frozenset({"LIVER", "PERFUSION", "SEGMENTATION", "UNKNOWN", "PHANTOM", "BRAIN", "REMOVED"})


def leaks(before: pydicom.Dataset, result: bytes) -> list[str]:
    """The patient's identifiers that the new file still holds, found without the code that removes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = [str(element.value) for element in before.iterall() if element.VR in {"PN", "UI"}]
    values = [value for value in values if value not in UID_dictionary]
    values += [
        str(before.get(keyword, "")) for keyword in ("PatientID", "AccessionNumber", "InstitutionName")
    ]
    words = {word for value in values for word in re.split(r"[\^= ]+", value) if len(word) >= 5}
    # Short numbers are in any UID by chance.
    told = {word for word in words if word.upper() not in COMMON and not (word.isdigit() and len(word) < 9)}
    return sorted(word for word in told if holds(result, word))


@pytest.mark.corpus
@pytest.mark.witness
@pytest.mark.parametrize("path", sample())
def test_real_instances_stay_what_they_are(path: str, corpus: Path, tmp_path: Path) -> None:
    # Pixels and geometry unchanged, no new fault of the IOD, no identifier left, in the syntax they came in.
    data = (corpus / path).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read(data)
    if hold_reasons(dataset):
        pytest.skip(f"held: {', '.join(finding.code for finding in hold_reasons(dataset))}")
    check(data, DEFAULT_PROFILE, tmp_path)


@pytest.mark.witness
@pytest.mark.parametrize("name", OF_PYDICOM)
@pytest.mark.parametrize("profile", [DEFAULT_PROFILE, STRICT], ids=["modified-dates", "strict"])
def test_pydicoms_instances_stay_what_they_are(name: str, profile: Profile, tmp_path: Path) -> None:
    # The same for the files that pydicom ships, with dates moved and with dates gone.
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom does not ship {name}")
    data = Path(str(path)).read_bytes()
    if hold_reasons(read(data)):
        pytest.skip(f"held: {', '.join(finding.code for finding in hold_reasons(read(data)))}")
    check(data, profile, tmp_path)


@pytest.mark.witness
@pytest.mark.parametrize("make", [ct_series, mr_series, pet_series])
def test_made_instances_stay_what_they_are(make, tmp_path: Path) -> None:
    # Without real data too: each of the IODs that volumes are made of.
    for profile in (DEFAULT_PROFILE, STRICT):
        check(part10(make()[0]), profile, tmp_path)


@pytest.mark.witness
def test_the_planted_patient_comes_out_with_no_new_fault(tmp_path: Path) -> None:
    # Every attribute of the table at four depths: removing all of it breaks nothing that was whole.
    planted = planted_patient(table_tags())
    data = planted.encode()
    result = copies(data, STRICT)
    assert planted.found_in(result) == {}
    new = faults(result, tmp_path) - faults(data, tmp_path)
    # The table replaces the committee's name (D) and removes the approval number that it depends on (X).
    assert all("ClinicalTrialProtocolEthicsCommitteeName" in fault for fault in new)


CHAINS = {
    "plan-structures-image": (
        "rt_misc/example_data/rtplan.dcm",
        "rt_misc/example_data/rtss.dcm",
        "rt_misc/example_data/ct.0.dcm",
    ),
    "segmentation-images": (
        "seg_sr/segmentations/liver.dcm",
        *(f"seg_sr/segmentations/ct-3slice/0{number}.dcm" for number in (1, 2, 3)),
    ),
}


def referenced(dataset: pydicom.Dataset) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels of regions longer than their VR allows
        return [str(element.value) for element in dataset.iterall() if element.tag == 0x00081155]


@pytest.mark.corpus
@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_references_between_instances_still_lead_there(chain: tuple[str, ...], corpus: Path) -> None:
    # A plan to its structure set, that to the image it was drawn on; a segmentation to each of its images.
    originals = [read((corpus / path).read_bytes()) for path in chain]
    results = [read(encode(deidentify(original, pseudonyms=PSEUDONYMS).dataset)) for original in originals]
    new_uid = {str(o.SOPInstanceUID): str(r.SOPInstanceUID) for o, r in zip(originals, results, strict=True)}
    leading = 0
    for original, result in zip(originals, results, strict=True):
        before, after = referenced(original), referenced(result)
        assert [new_uid.get(uid, "elsewhere") for uid in before] == [
            uid if uid in new_uid.values() else "elsewhere" for uid in after
        ]
        leading += len(set(after) & set(new_uid.values()))
    assert leading >= len(chain) - 1
    assert len({result.StudyInstanceUID for result in results}) == len(
        {o.StudyInstanceUID for o in originals}
    )
    assert len({result.FrameOfReferenceUID for result in results if "FrameOfReferenceUID" in result}) <= 1
