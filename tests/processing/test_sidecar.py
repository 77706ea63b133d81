from __future__ import annotations

import copy
import json
import math
import subprocess
from collections import Counter

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from processing.errors import OutputError
from processing.findings import Finding
from processing.frames import read_header
from processing.sidecar import describe_volume, encode_sidecar, technical_attributes
from processing.volume import fill_volume, plan_volumes
from tests.series_factory import OBLIQUE, SeriesGeometry, ct_series, mr_series, shuffled, uid
from tests.witnesses import tool

CANARY = "Zwartkijker"
CANARY_NUMBER = 4711471147


def volume_of(datasets):
    by_uid = {dataset.SOPInstanceUID: dataset for dataset in datasets}
    (plan,) = plan_volumes([read_header(dataset) for dataset in datasets]).volumes
    return fill_volume(plan, lambda header: by_uid[header.sop_instance_uid])


def described(volume, **changes):
    arguments = {
        "technical": {},
        "findings": volume.plan.findings,
        "exported_uid": lambda uid: uid,
        "parameters": {"deidentify": True},
        "version": "0.1.0",
    }
    arguments |= changes
    return describe_volume(volume, arguments.pop("technical"), **arguments)


def replaced(original: str) -> str:
    return uid("replaced", original)


def test_what_is_told_of_a_volume() -> None:
    """Shape, voxel size and affine are the volume's, and every instance is listed in the order of the slices."""
    geometry = SeriesGeometry(
        slices=5, rows=6, columns=8, row_spacing_mm=0.75, column_spacing_mm=0.5, step_mm=2.5
    )
    datasets = ct_series(geometry)
    volume = volume_of(shuffled(datasets))
    sidecar = described(volume)
    assert sidecar["Shape"] == [8, 6, 5]
    assert (sidecar["ValueSlope"], sidecar["ValueIntercept"]) == (volume.scale_slope, volume.scale_intercept)
    assert sidecar["VoxelSizeMm"] == pytest.approx([0.5, 0.75, 2.5])
    affine = np.array(sidecar["AffineLps"])
    for k in range(5):
        assert affine @ [0, 0, k, 1] == pytest.approx([*geometry.position(k), 1])
    assert sidecar["SourceInstances"] == [dataset.SOPInstanceUID for dataset in datasets]
    assert sidecar["ConversionSoftwareVersion"] == "0.1.0"
    assert sidecar["Parameters"] == {"deidentify": True}
    assert sidecar["Findings"] == []


def test_a_deidentified_sidecar_has_no_uid_of_the_series() -> None:
    """Every UID is replaced: in the list, in findings, in their sentences, in keys and values of their details."""
    datasets = ct_series()
    first, second = datasets[0].SOPInstanceUID, datasets[1].SOPInstanceUID
    findings = [
        Finding(
            code="duplicate-slice",
            message=f"The instances {first} and {second}. They share a place ({first}).",
            sop_instance_uids=(first, second),
            details={"repeats": {second: first}, "list": [f"{first};{second}"], "step_mm": 2.5},
        )
    ]
    sidecar = described(
        volume_of(datasets),
        findings=findings,
        exported_uid=replaced,
        parameters={"series": datasets[0].SeriesInstanceUID},
    )
    content = encode_sidecar(sidecar).decode()
    for dataset in datasets:
        assert dataset.SOPInstanceUID not in content
        assert dataset.SeriesInstanceUID not in content
    assert sidecar["SourceInstances"] == [replaced(dataset.SOPInstanceUID) for dataset in datasets]
    (finding,) = sidecar["Findings"]
    assert finding["Message"] == (
        f"The instances {replaced(first)} and {replaced(second)}. They share a place ({replaced(first)})."
    )
    assert finding["Details"]["repeats"] == {replaced(second): replaced(first)}
    assert finding["Details"]["list"] == [f"{replaced(first)};{replaced(second)}"]
    assert finding["Details"]["step_mm"] == 2.5


def test_instances_that_repeat_a_slice_are_listed() -> None:
    """An instance that was compared and not used is accounted for too."""
    datasets = ct_series()
    twin = copy.deepcopy(datasets[2])
    twin.SOPInstanceUID = uid("twin")
    sidecar = described(volume_of([*datasets, twin]))
    listed = {*sidecar["SourceInstances"], *sidecar["RepeatedInstances"]}
    assert listed == {dataset.SOPInstanceUID for dataset in [*datasets, twin]}
    assert len(sidecar["RepeatedInstances"]) == 1


def dataset_full_of_canaries() -> Dataset:
    """Every text and number attribute of the dictionary, filled by someone who typed a name or a number in."""
    dataset = Dataset()
    with pydicom.config.disable_value_validation():
        for tag, (vr, vm, _, retired, keyword) in DicomDictionary.items():
            if retired or not keyword or tag < 0x00080000 or tag >> 16 == 0x7FE0:
                continue
            if vr in {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}:
                dataset.add_new(tag, vr, CANARY.upper() if vr == "CS" else CANARY)
            elif vr in {"DS", "IS"} and vm.startswith("1"):
                dataset.add_new(tag, vr, str(CANARY_NUMBER))
            elif vr in {"FD", "FL"} and vm.startswith("1"):
                dataset.add_new(tag, vr, float(CANARY_NUMBER))
        tracer = Dataset()
        tracer.Radiopharmaceutical = CANARY
        tracer.RadionuclideHalfLife = str(CANARY_NUMBER)
        dataset.RadiopharmaceuticalInformationSequence = [tracer]
    return dataset


def test_nothing_that_a_person_typed_gets_in() -> None:
    """Whatever attribute the canary sits in, alone or beside what is known, the sidecar has none of it."""
    dataset = dataset_full_of_canaries()
    assert len(dataset) > 1000
    content = json.dumps(technical_attributes(dataset)).upper()
    assert CANARY.upper() not in content
    assert str(CANARY_NUMBER)[:4] not in content
    dataset.Manufacturer = f"SIEMENS {CANARY}"
    dataset.ConvolutionKernel = ["B30f", CANARY]
    dataset.ImageType = ["ORIGINAL", CANARY.upper(), "AXIAL"]
    dataset.ScanOptions = ["FS", CANARY.upper()]
    known = technical_attributes(dataset)
    assert CANARY.upper() not in json.dumps(known).upper()
    assert known["Manufacturer"] == "Siemens"
    assert known["ConvolutionKernel"] == "B30f"
    assert known["ImageType"] == ["ORIGINAL", "OTHER", "AXIAL"]
    assert known["ScanOptions"] == "FS"


def test_units_and_names_are_those_of_dcm2niix() -> None:
    """Times are in seconds, whole numbers are whole, coded strings keep their order."""
    (dataset, *_) = mr_series()
    dataset.EchoTime, dataset.RepetitionTime, dataset.MagneticFieldStrength = "3.08", "2300", "3"
    dataset.ScanningSequence, dataset.FlipAngle = ["GR", "IR"], "9.5"
    known = technical_attributes(dataset)
    expected = {
        "EchoTime": 0.00308,
        "RepetitionTime": 2.3,
        "MagneticFieldStrength": 3,
        "FlipAngle": 9.5,
        "ScanningSequence": "GR\\IR",
        "Modality": "MR",
        "PatientPosition": "HFS",
        "BodyPart": "ABDOMEN",
    }
    assert {name: known[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("manufacturer", "name"),
    [
        ("SIEMENS", "Siemens"),
        ("Siemens Healthineers", "Siemens"),
        ("GE MEDICAL SYSTEMS", "GE"),
        ("GE", "GE"),
        ("Philips Medical Systems", "Philips"),
        ("Canon Medical Systems", "Canon"),
        ("Vangerpost Imaging", None),
        ("", None),
    ],
)
def test_manufacturers_come_from_a_list(manufacturer, name) -> None:
    """A manufacturer that is not known is not named."""
    dataset = Dataset()
    dataset.Manufacturer = manufacturer
    assert technical_attributes(dataset).get("Manufacturer") == name


@pytest.mark.parametrize(
    "kernel", ["B30f", "Br40d", "H70h", "STANDARD", "BONEPLUS", "FC18", "UB", "C", ["I31f", "3"]]
)
def test_kernels_of_all_vendors(kernel) -> None:
    """The names that vendors give their kernels are kept."""
    dataset = Dataset()
    dataset.ConvolutionKernel = kernel
    expected = "\\".join(kernel) if isinstance(kernel, list) else kernel
    assert technical_attributes(dataset) == {"ConvolutionKernel": expected}


@pytest.mark.parametrize("kernel", ["ZK", "Otto", "Z.K. 1955", "19550505", "b30F", "JAN55"])
def test_what_is_no_kernel(kernel) -> None:
    """Initials, names and dates are no kernels."""
    dataset = Dataset()
    dataset.ConvolutionKernel = kernel
    assert technical_attributes(dataset) == {}


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("FlipAngle", "361"),
        ("EchoTime", "-1"),
        ("KVP", "19550505"),
        ("SAR", "1e308"),
        ("FlipAngle", ["1", "x"]),
    ],
    ids=str,
)
def test_numbers_out_of_range_are_left_out(keyword, value) -> None:
    """A number that the attribute cannot have is not written: it may be something else."""
    dataset = Dataset()
    with pydicom.config.disable_value_validation():
        if isinstance(value, list):
            dataset.add_new(keyword, "LO", value)
        else:
            setattr(dataset, keyword, value)
    assert technical_attributes(dataset) == {}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('abc é\n"'),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("xyz", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)
VOLUME = volume_of(ct_series(SeriesGeometry(orientation_lps=OBLIQUE)))


@given(st.dictionaries(st.text("PQR", min_size=1), json_values, max_size=4))
def test_canonical_json_reads_back_the_same(parameters) -> None:
    """What is written is read back to the bit, in UTF-8, in one order, with one newline at the end."""
    sidecar = described(VOLUME, parameters=parameters)
    content = encode_sidecar(sidecar)
    read = json.loads(content.decode("utf-8"))
    assert read == sidecar
    assert read["Parameters"] == parameters
    assert encode_sidecar(dict(reversed(read.items()))) == content
    assert content.endswith(b"}\n")
    assert not content.endswith(b"\n\n")
    assert np.array_equal(np.array(read["AffineLps"]), VOLUME.affine_lps)


def test_no_minus_zero() -> None:
    """The sign of a zero in the affine does not change the bytes."""
    sidecar = described(volume_of(ct_series()))
    assert "-0.0" not in encode_sidecar(sidecar).decode()
    assert b'"zero": 0.0' in encode_sidecar(described(VOLUME, parameters={"zero": -0.0}))


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, b"bytes", object(), {1, 2}],
    ids=["not a number", "infinite", "bytes", "object", "set"],
)
def test_what_json_has_not(value) -> None:
    """No value is guessed into JSON, at any depth."""
    with pytest.raises(OutputError):
        described(VOLUME, parameters={"deep": [{"value": value}]})
    with pytest.raises(OutputError):
        encode_sidecar({"value": value})


@pytest.mark.witness
@pytest.mark.corpus
@pytest.mark.parametrize(
    "folder",
    ["ct_head_ge", "mr_fmri_4d_ge/20180918GE", "mr_mosaic_siemens/20180918Si", "mr_dwi_dicom2nifti/philips"],
)
def test_dcm2niix_says_the_same(folder, corpus, tmp_path) -> None:
    """Where dcm2niix writes the same key for a real series, it writes the same value (to its six digits)."""
    command = [tool("dcm2niix"), "-b", "o", "-ba", "n", "-f", "%s", "-o", str(tmp_path), str(corpus / folder)]
    subprocess.run(command, check=True, capture_output=True)
    theirs = json.loads(min(tmp_path.glob("*.json")).read_text())
    paths = [
        path
        for path in sorted((corpus / folder).rglob("*"))
        if path.is_file() and pydicom.misc.is_dicom(path)
    ]
    headers = (pydicom.dcmread(path, stop_before_pixels=True) for path in paths)
    ours = technical_attributes(next(h for h in headers if h.SeriesNumber == theirs["SeriesNumber"]))
    shared = (ours.keys() & theirs.keys()) - {"ImageType"}  # which dcm2niix splits at underscores and adds to
    assert len(shared) >= 5
    for key in shared:
        value = ours[key]
        assert theirs[key] == (pytest.approx(value, rel=1e-5) if isinstance(value, int | float) else value), (
            key
        )
    assert (
        not Counter(v for v in ours["ImageType"] if v != "OTHER")
        - Counter(  # type: ignore[attr-defined]
            [
                *theirs["ImageType"],
                *("_".join(pair) for pair in zip(theirs["ImageType"], theirs["ImageType"][1:], strict=False)),
            ]
        )
    )
