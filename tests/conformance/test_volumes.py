"""Volumes of the corpus against outside witnesses: SimpleITK, dcm2niix and the IBSI's reference images.

Every single-frame CT, MR and PET series of the corpus is in the table below, with what must become of it. What
becomes a volume is compared in world space with the witnesses; what is refused is checked against the raw headers.
"""

from __future__ import annotations

import gzip
import itertools
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from processing.errors import HeaderError
from processing.frames import FrameHeader, read_header
from processing.nifti import encode_nifti
from processing.pixels import decode_frame
from processing.selection import SINGLE_FRAME_CLASSES
from processing.volume import SeriesPlan, fill_volume, plan_volumes
from tests.conftest import CORPUS
from tests.witnesses import tool

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.corpus,
    # pydicom says of real files what is odd in them; what matters here is what becomes of them
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]

WORLD_MM = 1e-3
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What must become of a series."""

    volumes: tuple[tuple[int, int, int], ...] = ()
    """Shapes, (slices, rows, columns)."""
    findings: tuple[str, ...] = ()
    itk: str = "equal"
    """``equal``, or why SimpleITK is no witness for it."""
    dcm2niix: str = "equal"
    """``equal``, or why dcm2niix is no witness for it."""
    dcm2niix_mm: float = WORLD_MM
    """How far its places may be off."""


def volume(slices: int, rows: int, columns: int, *findings: str, **witnesses: Any) -> Expected:
    return Expected(volumes=((slices, rows, columns),), findings=findings, **witnesses)


def refused(*findings: str) -> Expected:
    return Expected(findings=findings)


TRUNCATES = "takes the type from the first slice and truncates a PET to integers"
IGNORES_TILT = "ignores the tilt"
TILT_BUGS = "resamples, and misplaces, what is tilted; its plain file ignores the tilt"

# It takes the step from the first two positions in single precision, here 0.00004 mm short; 47 steps add it up.
FIRST_STEP_MM = 2e-3

# Each series by its folder, or by its file where it has one only.
TABLE = {
    "ct_burnedin_screens/S21570/S1000/I10": volume(1, 256, 512, "localizer", "single-slice"),
    "ct_head_ge": refused("uneven-spacing"),
    "ct_pet_mr_rtstruct/STS_002/CT/image": volume(48, 143, 161, dcm2niix_mm=FIRST_STEP_MM),
    "ct_pet_mr_rtstruct/STS_002/MR_T1/image": volume(35, 90, 115),
    "ct_pet_mr_rtstruct/STS_002/PET/image": volume(48, 27, 30, itk=TRUNCATES),
    "ct_pet_mr_rtstruct/STS_025/CT/image": volume(47, 138, 149),
    "ct_pet_mr_rtstruct/STS_025/MR_T1/image": volume(25, 55, 75),
    "ct_pet_mr_rtstruct/STS_025/PET/image": volume(47, 34, 37, itk=TRUNCATES),
    "malformed/bad_sequence.dcm": volume(1, 512, 512, "single-slice"),
    "malformed/explicit_VR-UN.dcm": volume(1, 512, 512, "single-slice"),
    "malformed/failing/gantrytilting/001": volume(
        4, 512, 512, "gantry-tilt", itk=IGNORES_TILT, dcm2niix=TILT_BUGS
    ),
    "malformed/failing/slicecount/001": volume(2, 256, 256),
    "mr_dwi/01_Ax_DWI_TENSOR_R2": refused("repeated-positions"),
    "mr_dwi/DTI_132225/dti_tra_dir16_PA_rot_SaveBySlc__134057": refused("tiled-frames"),
    "mr_dwi_dicom2nifti/ge/dti/001": refused("repeated-positions"),
    "mr_dwi_dicom2nifti/philips/dti/001": refused("repeated-positions"),
    "mr_dwi_dicom2nifti/siemens/dti_classic/001": refused("repeated-positions"),
    "mr_dwi_dicom2nifti/siemens/dti_classic/001_implicit": refused("repeated-positions"),
    "mr_fmri_4d_ge/20180918GE/mr_0004": refused("repeated-positions"),
    "mr_mosaic_siemens/20180918Si/mr_0003": refused("tiled-frames"),
    "mr_mosaic_siemens/20180918Si/mr_0004": refused("tiled-frames"),
    "mr_mosaic_siemens/Orientation/ax/axdesc36": refused("tiled-frames"),
    "mr_mosaic_siemens/Orientation/cor/corint35": refused("tiled-frames"),
    "mr_mosaic_siemens/Orientation/sag/sagdesc36": refused("tiled-frames"),
    "rt_misc/example_data/ct.0.dcm": volume(1, 512, 512, "single-slice"),
    "seg_sr/ct_image.dcm": volume(1, 128, 128, "single-slice"),
    "seg_sr/segmentations/24x38x3/image": volume(3, 38, 24),
    "seg_sr/segmentations/ct-3slice": volume(3, 512, 512),
    "ts_mr_mosaic": refused("tiled-frames"),
}
TRANSFER_SYNTAXES = ("ts_ct/testImages", "ts_ct/examples/test-images")
"""Folders with one image in many transfer syntaxes under one SOP Instance UID: they have tests of their own."""


@dataclass(frozen=True, kw_only=True)
class Series:
    files: tuple[Path, ...]
    headers: tuple[FrameHeader, ...]

    def plan(self) -> SeriesPlan:
        return plan_volumes(self.headers)

    def read(self, header: FrameHeader) -> pydicom.Dataset:
        uids = [known.sop_instance_uid for known in self.headers]
        return pydicom.dcmread(self.files[uids.index(header.sop_instance_uid)])

    def ordered_files(self, uids: tuple[str, ...]) -> list[str]:
        by_uid = {
            header.sop_instance_uid: file for file, header in zip(self.files, self.headers, strict=True)
        }
        return [str(by_uid[uid]) for uid in uids]


@cache
def corpus_series() -> dict[str, Series]:
    """Every series of single-frame CT, MR or PET images in the corpus."""
    found: dict[tuple[Path, str], list[tuple[Path, FrameHeader]]] = {}
    for path in sorted(path for path in CORPUS.rglob("*") if path.is_file()):
        try:
            header = read_header(pydicom.dcmread(path))
        except (InvalidDicomError, HeaderError, EOFError):
            continue
        if header.sop_class_uid in SINGLE_FRAME_CLASSES:
            found.setdefault((path.parent, header.series_instance_uid), []).append((path, header))
    series = {}
    for (folder, _), members in found.items():
        place = members[0][0] if len(members) == 1 else folder
        files, headers = zip(*members, strict=True)
        series[place.relative_to(CORPUS).as_posix()] = Series(files=files, headers=headers)
    return series


@dataclass(frozen=True, kw_only=True)
class WorldImage:
    """Voxels with their place: array axes (i, j, k), affine from (i, j, k) to LPS."""

    values: np.ndarray
    affine_lps: np.ndarray


def nifti_image(data: bytes) -> WorldImage:
    image = nibabel.Nifti1Image.from_bytes(data)
    return WorldImage(values=np.asanyarray(image.dataobj), affine_lps=LPS_TO_RAS @ image.affine)


def assert_same_world(
    ours: WorldImage, theirs: WorldImage, *, largest_difference: float = 0.0, world_mm: float = WORLD_MM
) -> None:
    """Every voxel of `theirs` lies on one of `ours` and has its value; none of ours is left over."""
    assert sorted(ours.values.shape) == sorted(theirs.values.shape)
    corners = np.array(list(itertools.product(*((0, n - 1) for n in theirs.values.shape))))
    world = corners @ theirs.affine_lps[:3, :3].T + theirs.affine_lps[:3, 3]
    index = np.linalg.solve(ours.affine_lps[:3, :3], (world - ours.affine_lps[:3, 3]).T).T
    nearest = np.rint(index)
    assert np.abs((index - nearest) @ ours.affine_lps[:3, :3].T).max() < world_mm
    grid = np.indices(theirs.values.shape).reshape(3, -1)
    # An affine map of the corners is one of all voxels; axes of one voxel contribute nothing.
    matrix, *_ = np.linalg.lstsq(np.c_[corners, np.ones(len(corners))], nearest, rcond=None)
    place = np.rint(grid.T @ matrix[:3] + matrix[3]).astype(int)
    assert place.min() >= 0
    matched = ours.values[tuple(place.T)].reshape(theirs.values.shape)
    assert len({tuple(row) for row in np.rint(nearest).tolist()}) == len({tuple(c) for c in corners.tolist()})
    difference = np.abs(matched.astype(np.float64) - theirs.values.astype(np.float64))
    assert difference.max() <= largest_difference


def simpleitk_image(files: list[str]) -> WorldImage:
    sitk = pytest.importorskip("SimpleITK")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    image = sitk.ReadImage(files)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return WorldImage(values=sitk.GetArrayFromImage(image).transpose(2, 1, 0), affine_lps=affine)


def dcm2niix_images(files: list[str], folder: Path) -> list[WorldImage]:
    inputs, outputs = folder / "in", folder / "out"
    inputs.mkdir()
    outputs.mkdir()
    for number, file in enumerate(files):
        (inputs / f"{number:05d}.dcm").symlink_to(file)
    command = [tool("dcm2niix"), "-z", "n", "-b", "n", "-f", "volume", "-o", str(outputs), str(inputs)]
    subprocess.run(command, capture_output=True, check=True)
    return [nifti_image(path.read_bytes()) for path in sorted(outputs.glob("*.nii"))]


def our_images(series: Series) -> list[tuple[list[str], WorldImage]]:
    made = []
    for plan in series.plan().volumes:
        data = gzip.decompress(encode_nifti(fill_volume(plan, series.read)))
        made.append((series.ordered_files(plan.sop_instance_uids), nifti_image(data)))
    return made


def test_the_table_names_every_series():
    """No single-frame CT, MR or PET series of the corpus is forgotten, and none is named that is not there."""
    found = {name for name in corpus_series() if name not in TRANSFER_SYNTAXES}
    assert found == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_series_becomes_what_the_table_says(name):
    """Volumes and findings are the expected ones, and every instance is in one volume or in a finding."""
    series, expected = corpus_series()[name], TABLE[name]
    plan = series.plan()
    assert tuple(made.grid.shape for made in plan.volumes) == expected.volumes
    assert sorted(finding.code for finding in plan.all_findings) == sorted(expected.findings)
    used = [uid for made in plan.volumes for uid in made.sop_instance_uids]
    reported = {uid for finding in plan.findings for uid in finding.sop_instance_uids}
    assert len(used) == len(set(used))
    assert {header.sop_instance_uid for header in series.headers} == set(used) | reported


MADE = [name for name, expected in TABLE.items() if expected.volumes]


@pytest.mark.parametrize("name", MADE)
def test_the_affine_gives_every_slice_its_position(name):
    """affine x index is Image Position (Patient) of each frame, read from the raw headers."""
    series = corpus_series()[name]
    for plan in series.plan().volumes:
        raw = [series.read(header) for header in plan.headers]
        affine = plan.grid.affine_lps
        positions = np.array([dataset.ImagePositionPatient for dataset in raw], dtype=float)
        planned = np.array([(affine @ [0, 0, k, 1])[:3] for k in range(len(raw))])
        assert np.abs(planned - positions).max() < 2e-3  # positions here are written with three decimals


@pytest.mark.witness
@pytest.mark.parametrize("name", [name for name in MADE if TABLE[name].itk == "equal"])
def test_volumes_equal_simpleitk(name):
    """SimpleITK, given the slices in our order, has the same values at the same places in the world."""
    for files, ours in our_images(corpus_series()[name]):
        assert_same_world(ours, simpleitk_image(files))


@pytest.mark.witness
@pytest.mark.parametrize("name", [name for name in MADE if TABLE[name].dcm2niix == "equal"])
def test_volumes_equal_dcm2niix(name, tmp_path):
    """dcm2niix, which orders and groups by itself, has the same values at the same places in the world."""
    series = corpus_series()[name]
    (ours,) = [image for _, image in our_images(series)]
    (theirs,) = dcm2niix_images([str(file) for file in series.files], tmp_path)
    scale = float(np.abs(ours.values).max())
    whole = np.issubdtype(ours.values.dtype, np.integer)
    allowed = 0.0 if whole else 1e-6 * scale
    assert_same_world(ours, theirs, largest_difference=allowed, world_mm=TABLE[name].dcm2niix_mm)


@pytest.mark.witness
def test_a_tilted_series_has_simpleitks_voxels_on_a_sheared_grid():
    """SimpleITK stacks the tilted slices in the same order with the same values; only its geometry is not theirs."""
    ((files, ours),) = our_images(corpus_series()["malformed/failing/gantrytilting/001"])
    theirs = simpleitk_image(files)
    assert np.array_equal(ours.values, theirs.values)
    step = ours.affine_lps[:3, 2]
    assert step[:2] == pytest.approx(0.0, abs=1e-6)  # the table moved along z alone
    assert abs(theirs.affine_lps[:3, 2] @ step) < 0.98 * (step @ step)  # theirs follows the tilted normal


@pytest.mark.parametrize("patient", ["STS_002", "STS_025"])
@pytest.mark.parametrize("kind", ["CT", "MR_T1"])
def test_volumes_equal_the_ibsi_references(corpus, patient, kind):
    """The IBSI's own conversion, made by a third program, has the same values at the same places."""
    folder = corpus / "ct_pet_mr_rtstruct"
    reference = folder / "ref" / "ibsi_validation" / "nifti" / patient / f"{kind}_image.nii.gz"
    ((_, ours),) = our_images(corpus_series()[f"ct_pet_mr_rtstruct/{patient}/{kind}/image"])
    assert_same_world(ours, nifti_image(gzip.decompress(reference.read_bytes())), largest_difference=1e-3)


# --- the findings are true --------------------------------------------------------------------------------------


def offsets_mm(datasets: list[pydicom.Dataset]) -> np.ndarray:
    """Offsets along the first frame's normal, by numpy alone."""
    row, column = np.reshape(np.array(datasets[0].ImageOrientationPatient, dtype=float), (2, 3))
    return np.array([np.dot(d.ImagePositionPatient, np.cross(row, column)) for d in datasets], dtype=float)


def raw_datasets(name: str) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(file, stop_before_pixels=True) for file in corpus_series()[name].files]


REPEATED = [name for name, expected in TABLE.items() if expected.findings == ("repeated-positions",)]
TILED = [name for name, expected in TABLE.items() if expected.findings == ("tiled-frames",)]


def test_uneven_spacing_is_true():
    """The GE head has steps of 4 and of 7 mm and one of 1.08: no step fits, and the finding names where."""
    (finding,) = corpus_series()["ct_head_ge"].plan().findings
    gaps = np.diff(np.sort(offsets_mm(raw_datasets("ct_head_ge"))))
    assert sorted(set(np.rint(gaps).astype(int).tolist())) == [1, 4, 7]
    assert finding.details["median_step_mm"] == pytest.approx(np.median(gaps), abs=1e-3)
    assert len(finding.details["unusual_gaps"]) == np.count_nonzero(np.abs(gaps - np.median(gaps)) > 0.05)


@pytest.mark.parametrize("name", REPEATED)
def test_repeated_positions_are_true(name):
    """The counts of positions and repeats are those of the raw headers, and the attribute tells them apart."""
    (finding,) = corpus_series()[name].plan().findings
    datasets = raw_datasets(name)
    places = np.rint(offsets_mm(datasets) / 0.1).astype(int).tolist()
    repeats = {places.count(place) for place in places}
    assert finding.details["positions"] == len(set(places))
    assert {finding.details["fewest_repeats"], finding.details["most_repeats"]} == repeats
    keyword = str(finding.details["separated_by"])
    told = {
        (place, str(d.get(keyword)), str(d.get("DiffusionGradientOrientation")))
        for place, d in zip(places, datasets, strict=True)
    }
    assert len(told) == len(datasets)


@pytest.mark.parametrize("name", TILED)
def test_tiled_frames_are_true(name):
    """The frame is a square of tiles, each of the acquisition's own matrix: several slices in one frame."""
    for dataset in raw_datasets(name):
        acquired = max(dataset.get("AcquisitionMatrix") or [0])
        said = {"MOSAIC", "VFRAME"} & set(dataset.ImageType)
        assert said
        assert acquired == 0 or dataset.Columns // acquired >= 3


# --- one image in many transfer syntaxes ------------------------------------------------------------------------

LOSSY_SYNTAXES = {
    "1.2.840.10008.1.2.4.50": 33.0,  # one stored level is 32.1 HU
    "1.2.840.10008.1.2.4.51": 2.01,  # one stored level is 2.0 HU
    "1.2.840.10008.1.2.4.53": 2.01,
    "1.2.840.10008.1.2.4.55": 2.01,
    "1.2.840.10008.1.2.4.81": 0.0,  # near lossless, but each decoder must give the same
    "1.2.840.10008.1.2.4.91": 1.0,
}
"""Largest difference of two decoders of a lossy syntax, in modality values."""


def syntax_files() -> list[Path]:
    folders = [CORPUS / name for name in TRANSFER_SYNTAXES]
    return sorted(file for folder in folders for file in folder.glob("CTImage*"))


def world_image(file: Path) -> WorldImage:
    dataset = pydicom.dcmread(file)
    (plan,) = plan_volumes([read_header(dataset)]).volumes
    return nifti_image(gzip.decompress(encode_nifti(fill_volume(plan, lambda _: dataset))))


@pytest.mark.parametrize("file", syntax_files(), ids=lambda file: file.name.rpartition("_")[2])
def test_lossless_transfer_syntaxes_give_the_same_volume(file):
    """The same image in another lossless transfer syntax is the same volume, voxel for voxel."""
    syntax = pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID
    same_image = [other for other in syntax_files() if other.parent == file.parent]
    reference = world_image(same_image[0])
    ours = world_image(file)
    assert np.array_equal(ours.affine_lps, reference.affine_lps)
    if syntax not in LOSSY_SYNTAXES:
        assert np.array_equal(ours.values, reference.values)
    else:
        assert not np.array_equal(ours.values, reference.values)
        assert np.abs(ours.values.astype(float) - reference.values).max() <= 250


@pytest.mark.witness
@pytest.mark.parametrize("file", syntax_files(), ids=lambda file: file.name.rpartition("_")[2])
def test_every_transfer_syntax_equals_simpleitk(file):
    """GDCM's decoders, asked through SimpleITK, give the same values: all of them where nothing was lost."""
    syntax = pydicom.dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID
    allowed = LOSSY_SYNTAXES.get(syntax, 0.0)
    assert_same_world(world_image(file), simpleitk_image([str(file)]), largest_difference=allowed)


@pytest.mark.parametrize("folder", ["ts_mr_mosaic", "nm_wg04_family"])
def test_frames_are_the_same_in_every_lossless_transfer_syntax(corpus, folder):
    """Frames that are not assembled here still decode to the same stored values in every lossless syntax."""
    lossy = {"1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"}
    frames = {}
    for path in sorted((corpus / folder).rglob("*.dcm")) + sorted((corpus / folder).rglob("NM1_*")):
        dataset = pydicom.dcmread(path)
        header = read_header(dataset)
        if header.transfer_syntax_uid not in lossy:
            frames[path.name] = (header, decode_frame(dataset, header))
    (_, first), *others = frames.values()
    assert len({header.transfer_syntax_uid for header, _ in frames.values()}) >= 5
    for _, frame in others:
        assert np.array_equal(frame, first)


def test_enhanced_frames_decode_the_same_from_every_encapsulation(corpus):
    """Fragmented or not, with and without offset table: both frames of the enhanced CT are the same."""
    folder = corpus / "ct_enhanced" / "testImages" / "encapsulated" / "multi-frame"
    native = pydicom.dcmread(folder / "CT0012.explicit_little_endian.dcm")
    wanted = [decode_frame(native, read_header(native), frame=frame) for frame in (0, 1)]
    compared = 0
    for path in sorted(folder.glob("CT0012*")):
        dataset = pydicom.dcmread(path)
        header = read_header(dataset)
        if header.transfer_syntax_uid == "1.2.840.10008.1.2.4.81":
            continue
        for frame in (0, 1):
            assert np.array_equal(decode_frame(dataset, header, frame=frame), wanted[frame])
            compared += 1
    assert compared >= 14
