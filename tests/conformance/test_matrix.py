"""A matrix of small series, each with one right answer: a volume whose values lie where they belong, or a true finding.

The phantom's value is linear in the world, so a volume is right exactly where every voxel's modality value is that
function of the place which its own affine gives it. Where SimpleITK and dcm2niix are right too, they are asked.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest

from processing.errors import GeometryError
from processing.frames import read_header
from processing.gaps import missing_planes
from processing.nifti import encode_nifti
from processing.volume import fill_volume, plan_volumes
from tests.conformance.matrix_series import (
    Datasets,
    big_endian,
    changed,
    coil,
    ct,
    every_second,
    jitter,
    of_values,
    other_pixels,
    padded,
    plus_twin,
    position_noise,
    rounded_cosines,
    rounded_positions,
    scaled_by,
    setting,
    sheared,
    together,
    twelve_bits,
)
from tests.conformance.test_volumes import (
    assert_same_world,
    dcm2niix_images,
    nifti_image,
    simpleitk_image,
)
from tests.series_factory import (
    AXIAL,
    CORONAL,
    OBLIQUE,
    SAGITTAL,
    localizer,
    pet_series,
    rotated,
    shuffled,
    world_linear,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DOUBLE_OBLIQUE = rotated(OBLIQUE, (0.3, 0.5, 0.8), 34.0)
BOTH, ITK, DCM2NIIX, NONE = ("itk", "dcm2niix"), ("itk",), ("dcm2niix",), ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A series and what must become of it."""

    make: Callable[[], Datasets]
    slices: tuple[int, ...] = (5,)
    """Of each volume, in the order of the plan."""
    findings: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = BOTH
    """Which of SimpleITK and dcm2niix have the right answer too."""
    off_mm: float = 1e-4
    """How far the written positions are from the phantom's."""
    gap: bool = False
    """Whether completeness must wait for more."""


ONE = ("single-slice",)
MISSING = {"slices": (), "findings": ("missing-slices",), "witnesses": NONE, "gap": True}
REFUSED: dict[str, Any] = {"slices": (), "witnesses": NONE}

TABLE: dict[str, Case] = {
    # --- directions
    "axial": Case(make=ct()),
    "sagittal": Case(make=ct(orientation_lps=SAGITTAL)),
    "coronal": Case(make=ct(orientation_lps=CORONAL)),
    "oblique": Case(make=ct(orientation_lps=OBLIQUE)),
    "double oblique": Case(make=ct(orientation_lps=DOUBLE_OBLIQUE)),
    "feet first prone": Case(make=ct(setting(PatientPosition="FFP"), orientation_lps=(-1, 0, 0, 0, -1, 0))),
    "head first prone, mirrored rows": Case(make=ct(orientation_lps=(-1, 0, 0, 0, 1, 0))),
    "descending": Case(make=ct(setting(InstanceNumber=lambda k: 9 - k))),
    "cosines with 5 decimals": Case(make=ct(rounded_cosines(5), orientation_lps=DOUBLE_OBLIQUE), off_mm=1e-3),
    "cosines with 3 decimals": Case(
        make=ct(rounded_cosines(3), orientation_lps=DOUBLE_OBLIQUE, rows=4, columns=600),
        off_mm=0.2,
        witnesses=NONE,
    ),
    "cosines that differ by 1e-6": Case(
        make=ct(every_second(ImageOrientationPatient=["1", "0.000001", "0", "0", "1", "0"]), mr=True),
    ),
    # --- what must not decide
    "instance number constant": Case(make=ct(setting(InstanceNumber=1)), witnesses=ITK),
    "instance number random": Case(make=ct(setting(InstanceNumber=lambda k: (k * 7 + 3) % 11))),
    "instance number absent": Case(make=ct(setting(InstanceNumber=None)), witnesses=ITK),
    "slice location wrong": Case(make=ct(setting(SliceLocation=lambda k: -7 * k % 3))),
    "spacing between slices negative": Case(make=ct(setting(SpacingBetweenSlices="-9.5"))),
    "slice thickness absent": Case(make=ct(setting(SliceThickness=None))),
    "slice thickness wrong": Case(make=ct(setting(SliceThickness="7"))),
    "series numbers differ": Case(make=ct(setting(SeriesNumber=lambda k: k)), witnesses=ITK),
    "acquisition numbers differ": Case(make=ct(setting(AcquisitionNumber=lambda k: k))),
    "windows differ": Case(make=ct(setting(WindowCenter=str, WindowWidth=lambda k: str(9 + k)))),
    "exposure differs": Case(make=ct(setting(Exposure=str, XRayTubeCurrent=str))),
    "image type absent in some": Case(make=ct(every_second(ImageType=None))),
    "image type with another word": Case(
        make=ct(every_second(ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "X"]))
    ),
    "original and derived in one row": Case(
        make=ct(every_second(ImageType=["DERIVED", "SECONDARY", "AXIAL"])), witnesses=ITK
    ),
    "magnitude said in some": Case(
        make=ct(every_second(ImageType=["ORIGINAL", "PRIMARY", "OTHER"]), mr=True), witnesses=ITK
    ),
    "echo time rounded": Case(make=ct(every_second(EchoTime="10.04"), mr=True), witnesses=ITK),
    "echo time absent in some": Case(make=ct(every_second(EchoTime=None), mr=True), witnesses=ITK),
    "echo number absent in some": Case(make=ct(every_second(EchoNumbers=None), mr=True), witnesses=ITK),
    "stack ID absent in some": Case(make=ct(every_second(StackID="1"), mr=True), witnesses=ITK),
    "frame of reference absent in some": Case(make=ct(every_second(FrameOfReferenceUID=None)), witnesses=ITK),
    # --- sizes
    "one slice": Case(make=ct(slices=1, orientation_lps=OBLIQUE), slices=(1,), findings=ONE),
    "two slices": Case(make=ct(slices=2), slices=(2,)),
    "three slices": Case(make=ct(slices=3), slices=(3,)),
    "pixels not square": Case(make=ct(row_spacing_mm=1.75, column_spacing_mm=0.4, orientation_lps=SAGITTAL)),
    # --- values
    "rescale per slice, whole": Case(make=ct(scaled_by(lambda _: 1.0, lambda k: float(-10 * k)))),
    "rescale per slice, fractional": Case(
        make=ct(scaled_by(lambda k: 0.25 + 0.125 * k, lambda k: k / 2)), witnesses=NONE
    ),
    "PET": Case(make=pet_series, witnesses=DCM2NIIX),
    "slope fractional": Case(make=of_values(slope=0.3, intercept=-11.5)),
    "intercept not whole": Case(make=of_values(intercept=-1024.5)),
    "uint16 above 32767": Case(make=of_values(intercept=-40000.0, dtype="uint16")),
    "uint16 above 32767, not scaled": Case(
        make=of_values(intercept=0.0, phantom=lambda w: world_linear(w) + 60000, dtype="uint16")
    ),
    "bytes": Case(make=of_values(intercept=-100.0, dtype="uint8")),
    "signed bytes": Case(make=of_values(intercept=0.0, dtype="int8"), witnesses=ITK),
    "12 bits with an overlay above": Case(
        make=lambda: changed(of_values(dtype="uint16"), twelve_bits(signed=False, garbage=0x9000)),
        witnesses=ITK,
    ),
    "12 bits signed": Case(
        make=lambda: changed(of_values(intercept=0.0), twelve_bits(signed=True, garbage=0)), witnesses=ITK
    ),
    "12 bits at the top of their cells": Case(
        make=lambda: changed(of_values(dtype="uint16"), twelve_bits(high_bit=15, shift=4)), witnesses=NONE
    ),
    "12 bits said to be at the top": Case(
        make=lambda: changed(of_values(dtype="uint16"), twelve_bits(high_bit=15))
    ),
    "big endian": Case(make=ct(big_endian)),
    "padding": Case(make=ct(padded)),
    "MONOCHROME1": Case(make=ct(setting(PhotometricInterpretation="MONOCHROME1")), witnesses=DCM2NIIX),
    "photometric interpretations mixed": Case(
        make=ct(every_second(PhotometricInterpretation="MONOCHROME1")), witnesses=NONE
    ),
    "rescale slope of zero": Case(make=ct(setting(RescaleSlope="0")), **REFUSED, findings=("bad-header",)),
    # --- positions as they are written
    "positions with 2 decimals": Case(
        make=ct(rounded_positions(2), step_mm=0.625, orientation_lps=OBLIQUE), off_mm=0.02, witnesses=NONE
    ),
    "positions with 1 decimal": Case(
        make=ct(rounded_positions(1), slices=24, step_mm=1.25), slices=(24,), off_mm=0.12, witnesses=ITK
    ),
    "positions with 1 decimal, oblique": Case(
        make=ct(rounded_positions(1), slices=24, step_mm=3.3, orientation_lps=OBLIQUE),
        slices=(24,),
        off_mm=0.2,
        witnesses=ITK,
    ),
    "positions with noise of 1e-4": Case(
        make=ct(position_noise(1e-4), orientation_lps=OBLIQUE), off_mm=1e-3, witnesses=ITK
    ),
    "jitter below the tolerance": Case(
        make=ct(slices=8, step_mm=2.5, offsets_mm=jitter(2.5, 0.009)), slices=(8,), off_mm=0.03
    ),
    "jitter above the tolerance": Case(
        make=ct(slices=8, step_mm=2.5, offsets_mm=jitter(2.5, 0.02)), **REFUSED, findings=("uneven-spacing",)
    ),
    "tilt": Case(make=ct(tilt_degrees=15.0), findings=("gantry-tilt",), witnesses=NONE),
    "tilt the other way": Case(make=ct(tilt_degrees=-15.0), findings=("gantry-tilt",), witnesses=NONE),
    # --- what is missing
    "gap of one": Case(make=ct(slices=9, missing=(4,)), **MISSING),
    "gaps of several": Case(make=ct(slices=14, missing=(4, 5, 9)), **MISSING),
    "first and last missing": Case(make=ct(slices=7, missing=(0, 6))),
    "one of four missing": Case(make=ct(slices=4, missing=(2,)), **REFUSED, findings=("uneven-spacing",)),
    "two of five missing": Case(make=ct(slices=6, missing=(2, 4)), **REFUSED, findings=("uneven-spacing",)),
    "spacing changes halfway": Case(
        make=ct(slices=9, offsets_mm=(0, 2, 4, 6, 8, 12, 16, 20, 24)), **REFUSED, findings=("uneven-spacing",)
    ),
    # --- more than one stack
    "slice sent twice": Case(make=plus_twin(), findings=("duplicate-slice",), witnesses=NONE),
    "slice sent twice with other pixels": Case(
        make=other_pixels, **REFUSED, findings=("duplicate-slice", "failed")
    ),
    "localizer in the series": Case(
        make=lambda: [*ct()(), localizer()], slices=(5, 1), findings=("localizer", "single-slice")
    ),
    "two orientations": Case(make=together(ct(), ct(slices=4, orientation_lps=CORONAL)), slices=(5, 4)),
    "two echoes": Case(make=together(ct(mr=True), ct(mr=True), EchoTime="20", EchoNumbers=2), slices=(5, 5)),
    "magnitude and phase": Case(
        make=together(ct(mr=True), ct(mr=True), ImageType=["ORIGINAL", "PRIMARY", "P", "SE"]),
        slices=(5, 5),
    ),
    "original and derived of one place": Case(
        make=together(ct(), ct(), ImageType=["DERIVED", "SECONDARY", "AXIAL"]), slices=(5, 5), witnesses=ITK
    ),
    "two matrices": Case(make=together(ct(), ct(rows=10, columns=4)), slices=(5, 5)),
    "two pixel spacings": Case(make=together(ct(), ct(row_spacing_mm=0.8)), slices=(5, 5), witnesses=ITK),
    "two frames of reference": Case(
        make=together(ct(), ct(), FrameOfReferenceUID="2.25.77"), slices=(5, 5), witnesses=ITK
    ),
    "two stacks side by side": Case(
        make=together(ct(), ct(origin_lps=(60.0, 12.5, -7.25))), **REFUSED, findings=("scattered-positions",)
    ),
    "two stacks behind each other": Case(
        make=together(ct(), ct(origin_lps=(-20.0, 12.5, 81.1))), **REFUSED, findings=("uneven-spacing",)
    ),
    "two stacks that are named": Case(
        make=together(ct(setting(StackID="1")), ct(slices=4, origin_lps=(-20.0, 12.5, 81.1)), StackID="2"),
        slices=(5, 4),
        witnesses=ITK,
    ),
    "uncombined coils of one place": Case(
        make=together(ct(coil("H1"), mr=True), ct(coil("H2"), mr=True)), slices=(5, 5), witnesses=ITK
    ),
    "a coil for each half": Case(
        make=ct(lambda k, d: coil("S1" if k < 2 else "S2")(k, d), mr=True), witnesses=ITK
    ),
    # --- no geometry
    "positions absent": Case(
        make=ct(setting(ImagePositionPatient=None)), **REFUSED, findings=("no-geometry",)
    ),
    "pixel spacing absent": Case(make=ct(setting(PixelSpacing=None)), **REFUSED, findings=("no-geometry",)),
    "cosines not orthonormal": Case(
        make=ct(setting(ImageOrientationPatient=list(sheared(AXIAL)))),
        **REFUSED,
        findings=("bad-orientation",),
    ),
}


class Written:
    """A series as files, read back as any sender's would be."""

    def __init__(self, datasets: Datasets, folder: Path) -> None:
        self.files: dict[str, Path] = {}
        for number, dataset in enumerate(shuffled(datasets)):
            path = folder / f"{number:03d}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            self.files[str(dataset.SOPInstanceUID)] = path
        self.headers = [read_header(pydicom.dcmread(path)) for path in self.files.values()]
        self.plan = plan_volumes(self.headers)

    def read(self, header: Any) -> pydicom.Dataset:
        return pydicom.dcmread(self.files[header.sop_instance_uid])

    def fill(self) -> tuple[list[Any], list[str]]:
        """Return the volumes, and the failures of those that could not be filled."""
        volumes, failures = [], []
        for plan in self.plan.volumes:
            try:
                volumes.append(fill_volume(plan, self.read))
            except GeometryError:
                failures.append("failed")
        return volumes, failures


@pytest.mark.parametrize("name", TABLE)
def test_the_answer_is_right(name, tmp_path):
    """Volumes, findings and every value in its place, and completeness agrees with the plan about gaps."""
    case = TABLE[name]
    series = Written(case.make(), tmp_path)
    volumes, failures = series.fill()
    assert tuple(len(volume.values) for volume in volumes) == case.slices
    codes = [*(finding.code for finding in series.plan.all_findings), *failures]
    assert sorted(codes) == sorted(case.findings)
    for volume in volumes:
        assert_values_lie_in_their_places(volume, case.off_mm)
    used = {name for plan in series.plan.volumes for name in plan.sop_instance_uids}
    named = {name for finding in series.plan.all_findings for name in finding.sop_instance_uids}
    assert used | named == set(series.files)
    assert bool(missing_planes(series.headers)) == case.gap


def assert_values_lie_in_their_places(volume: Any, off_mm: float) -> None:
    k, j, i = np.indices(volume.values.shape)
    world = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ volume.affine_lps.T
    expected = world_linear(world[..., :3])
    values = volume.modality_values().astype(np.float64)
    if values.min() > 50000:
        expected = expected + 60000
    step = max(abs(header.rescale_slope) for header in volume.plan.headers)
    rounding = max(0.5, step) if volume.scale_slope == 1.0 else 0.5 * max(1.0, step)
    steepest = float(np.linalg.norm([2.0, 3.0, 5.0]))
    assert np.abs(values - expected).max() <= rounding + 1e-6 + steepest * off_mm


@pytest.mark.witness
@pytest.mark.parametrize("name", [name for name, case in TABLE.items() if "itk" in case.witnesses])
def test_simpleitk_agrees(name, tmp_path):
    """SimpleITK, given each volume's files in our order, has the same values at the same places."""
    series = Written(TABLE[name].make(), tmp_path)
    for volume in series.fill()[0]:
        files = [str(series.files[uid]) for uid in volume.plan.sop_instance_uids]
        assert_same(volume, simpleitk_image(files))


@pytest.mark.witness
@pytest.mark.parametrize("name", [name for name, case in TABLE.items() if "dcm2niix" in case.witnesses])
def test_dcm2niix_agrees(name, tmp_path):
    """dcm2niix, which groups and orders by itself, has each of our volumes among its own."""
    (tmp_path / "series").mkdir()
    (tmp_path / "work").mkdir()
    series = Written(TABLE[name].make(), tmp_path / "series")
    theirs = dcm2niix_images([str(path) for path in series.files.values()], tmp_path / "work")
    volumes, _ = series.fill()
    assert len(theirs) >= len(volumes)
    for volume in volumes:
        assert any(is_same(volume, other) for other in theirs)


def assert_same(volume: Any, other: Any) -> None:
    ours = nifti_image(gzip.decompress(encode_nifti(volume)))
    allowed = 1e-6 * float(np.abs(ours.values).max()) if ours.values.dtype.kind == "f" else 0.0
    assert_same_world(ours, other, largest_difference=allowed)


def is_same(volume: Any, other: Any) -> bool:
    try:
        assert_same(volume, other)
    except AssertionError:
        return False
    return True
