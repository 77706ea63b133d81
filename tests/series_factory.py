"""Synthetic CT, MR and PET series whose geometry is known, for every test that needs real data sets.

Every data set has the mandatory attributes of its IOD (PS3.3 A.3, A.4, A.21), UIDs under 2.25 that follow from the
series' name, an invented patient, and pixels whose *modality* value is a function of the place in the world, so that a
reader who puts a voxel in the wrong place also gets the wrong value there.
"""

from __future__ import annotations

import io
import random
import uuid
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

type_of_modality = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
}

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)

CANARY_NAME = "Zwartkijker^Ottoline"
CANARY_ID = "ZK-4711-OTTO"

Phantom = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Modality values of points in the world: (..., 3) LPS millimetres in, (...) values out."""


def uid(*parts: object) -> str:
    """Return a UID under 2.25 that follows from `parts` (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '|'.join(map(str, parts))).int}"


def world_linear(world_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """A phantom whose value is linear in the world: every wrong millimetre shows, and no axis looks like another."""
    return np.asarray(world_lps @ np.array([2.0, 3.0, 5.0]) + 40.0, dtype=np.float64)


def rotated(orientation: Sequence[float], axis: Sequence[float], degrees: float) -> tuple[float, ...]:
    """Return an orientation turned about `axis` (Rodrigues' formula), with cosines still orthonormal."""
    k = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    angle = np.deg2rad(degrees)
    turned = [
        v * np.cos(angle) + np.cross(k, v) * np.sin(angle) + k * (k @ v) * (1 - np.cos(angle))
        for v in np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    ]
    return tuple(float(c) for v in turned for c in v)


OBLIQUE = rotated(rotated(AXIAL, (1, 0, 0), 21.0), (0, 1, 0), -13.0)


@dataclass(frozen=True, kw_only=True)
class SeriesGeometry:
    """Where the frames of a series lie."""

    slices: int = 5
    rows: int = 6
    columns: int = 8
    row_spacing_mm: float = 0.75
    column_spacing_mm: float = 0.5
    step_mm: float = 2.5
    """Distance of neighbouring planes along the normal."""
    orientation_lps: Sequence[float] = AXIAL
    origin_lps: Sequence[float] = (-20.0, 12.5, -7.25)
    tilt_degrees: float = 0.0
    """Angle between the step and the normal, towards the columns' direction (a tilted gantry)."""
    offsets_mm: Sequence[float] | None = None
    """Offsets along the normal, in place of multiples of the step."""
    missing: Collection[int] = field(default_factory=tuple)
    """Slices that never arrived."""

    @property
    def normal(self) -> NDArray[np.float64]:
        """The planes' normal: row cosine x column cosine."""
        row, column = np.asarray(self.orientation_lps, dtype=np.float64).reshape(2, 3)
        return np.cross(row, column)

    def position(self, k: float) -> NDArray[np.float64]:
        """Return Image Position (Patient) of slice `k`."""
        column = np.asarray(self.orientation_lps, dtype=np.float64)[3:]
        offset = self.offsets_mm[int(k)] if self.offsets_mm is not None else k * self.step_mm
        shear = np.tan(np.deg2rad(self.tilt_degrees)) * offset
        return np.asarray(self.origin_lps, dtype=np.float64) + offset * self.normal + shear * column

    def world(self, k: float) -> NDArray[np.float64]:
        """Return the centres of slice `k`'s pixels in LPS millimetres, (rows, columns, 3)."""
        row, column = np.asarray(self.orientation_lps, dtype=np.float64).reshape(2, 3)
        i = np.arange(self.columns)[None, :, None] * self.column_spacing_mm * row
        j = np.arange(self.rows)[:, None, None] * self.row_spacing_mm * column
        return np.asarray(self.position(k) + i + j, dtype=np.float64)


def _decimal(value: float) -> str:
    # DS: at most 16 characters (PS3.5 6.2); as many digits as fit.
    for digits in range(16, 0, -1):
        text = f"{float(value):.{digits}g}"
        if len(text) <= 16:
            return text
    raise AssertionError(value)


def _common(modality: str, name: str, k: int, geometry: SeriesGeometry) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = type_of_modality[modality]
    dataset.SOPInstanceUID = uid(name, "instance", k)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = "20240229"
    dataset.StudyTime = dataset.SeriesTime = "101500"
    dataset.ContentTime = dataset.AcquisitionTime = f"1016{k % 60:02d}"
    dataset.AccessionNumber = "ZKA0001"
    dataset.Modality = modality
    dataset.Manufacturer = "Lichtbak Instruments"
    dataset.ReferringPhysicianName = "Verwijzer^Dorothea"
    dataset.StudyDescription = "Phantom"
    dataset.SeriesDescription = f"{modality} phantom"
    dataset.PatientName = CANARY_NAME
    dataset.PatientID = CANARY_ID
    dataset.PatientBirthDate = "19550505"
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = uid(name, "study")
    dataset.SeriesInstanceUID = uid(name, "series")
    dataset.StudyID = "1"
    dataset.SeriesNumber = 3
    dataset.AcquisitionNumber = 1
    dataset.InstanceNumber = k + 1
    dataset.BodyPartExamined = "ABDOMEN"
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = uid(name, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    _plane(dataset, k, geometry)
    return dataset


def _plane(dataset: pydicom.Dataset, k: int, geometry: SeriesGeometry) -> None:
    dataset.ImagePositionPatient = [_decimal(c) for c in geometry.position(k)]
    dataset.ImageOrientationPatient = [_decimal(c) for c in geometry.orientation_lps]
    dataset.PixelSpacing = [_decimal(geometry.row_spacing_mm), _decimal(geometry.column_spacing_mm)]
    dataset.SliceThickness = _decimal(geometry.step_mm)


def set_pixels(dataset: pydicom.Dataset, stored: NDArray[np.generic], *, bits_stored: int = 16) -> None:
    """Give `dataset` native pixels: a (rows, columns) integer array, signed where its dtype is."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = stored.dtype.itemsize * 8
    dataset.BitsStored = min(bits_stored, dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(stored.dtype, np.signedinteger))
    raw = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = raw + b"\0" * (len(raw) % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"


def _frames(
    modality: str,
    name: str,
    geometry: SeriesGeometry,
    phantom: Phantom,
    *,
    slope: float,
    intercept: float,
    dtype: str,
) -> list[pydicom.Dataset]:
    datasets = []
    for k in range(geometry.slices):
        dataset = _common(modality, name, k, geometry)
        stored = np.rint((phantom(geometry.world(k)) - intercept) / slope)
        set_pixels(dataset, stored.astype(dtype))
        datasets.append(dataset)
    return [dataset for k, dataset in enumerate(datasets) if k not in geometry.missing]


def ct_series(
    geometry: SeriesGeometry | None = None,
    *,
    name: str = "ct",
    phantom: Phantom = world_linear,
    slope: float = 1.0,
    intercept: float = -1024.0,
    dtype: str = "int16",
) -> list[pydicom.Dataset]:
    """Return a CT series in spatial order, with pixels in native little endian."""
    datasets = _frames(
        "CT", name, geometry or SeriesGeometry(), phantom, slope=slope, intercept=intercept, dtype=dtype
    )
    for dataset in datasets:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.RescaleSlope = _decimal(slope)
        dataset.RescaleIntercept = _decimal(intercept)
        dataset.RescaleType = "HU"
        dataset.KVP = "120"
        dataset.WindowCenter = "40"
        dataset.WindowWidth = "400"
    return datasets


def mr_series(
    geometry: SeriesGeometry | None = None,
    *,
    name: str = "mr",
    phantom: Phantom = world_linear,
    echo: int = 1,
    dtype: str = "int16",
) -> list[pydicom.Dataset]:
    """Return an MR series in spatial order; it has no rescale, as MR Image Storage has none."""
    datasets = _frames(
        "MR", name, geometry or SeriesGeometry(), phantom, slope=1.0, intercept=0.0, dtype=dtype
    )
    for dataset in datasets:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
        dataset.ScanningSequence = "SE"
        dataset.SequenceVariant = "NONE"
        dataset.ScanOptions = ""
        dataset.MRAcquisitionType = "2D"
        dataset.RepetitionTime = "500"
        dataset.EchoTime = str(10 * echo)
        dataset.EchoNumbers = echo
        dataset.EchoTrainLength = 1
    return datasets


def pet_series(
    geometry: SeriesGeometry | None = None, *, name: str = "pt", phantom: Phantom = world_linear
) -> list[pydicom.Dataset]:
    """Return a PET series, whose rescale slope differs from slice to slice."""
    geometry = geometry or SeriesGeometry()
    datasets = []
    for k in range(geometry.slices):
        dataset = _common("PT", name, k, geometry)
        slope = 0.25 + 0.125 * k
        set_pixels(dataset, np.rint(phantom(geometry.world(k)) / slope).astype("int16"))
        dataset.RescaleSlope, dataset.RescaleIntercept = _decimal(slope), "0"
        dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        dataset.Units, dataset.CountsSource, dataset.SeriesType = "BQML", "EMISSION", ["STATIC", "IMAGE"]
        dataset.NumberOfSlices, dataset.CorrectedImage, dataset.DecayCorrection = geometry.slices, "", "START"
        dataset.CollimatorType, dataset.FrameReferenceTime, dataset.ImageIndex = "", "0", k + 1
        dataset.ActualFrameDuration, dataset.DecayFactor = "1000", "1"
        dataset.RadiopharmaceuticalInformationSequence = []
        dataset.PatientOrientationCodeSequence = []
        dataset.PatientGantryRelationshipCodeSequence = []
        datasets.append(dataset)
    return [dataset for k, dataset in enumerate(datasets) if k not in geometry.missing]


def localizer(*, name: str = "ct", number: int = 99) -> pydicom.Dataset:
    """Return a sagittal CT localizer that belongs to the series `name`."""
    geometry = SeriesGeometry(slices=1, rows=10, columns=12, orientation_lps=SAGITTAL)
    (dataset,) = ct_series(geometry, name=name)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid(name, "localizer", number)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.InstanceNumber = number
    dataset.RescaleType = "US"
    return dataset


def repeated(
    datasets: Sequence[pydicom.Dataset], times: int, keyword: str, *, values: Sequence[object] | None = None
) -> list[pydicom.Dataset]:
    """Return `times` volumes at the same positions, told apart by attribute `keyword` (its value 1, 2, ...)."""
    copies = []
    for t in range(times):
        for dataset in datasets:
            copy = deepcopy(dataset)
            copy.SOPInstanceUID = uid(dataset.SOPInstanceUID, "time", t)
            copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
            copy.InstanceNumber = t * len(datasets) + int(dataset.InstanceNumber)
            setattr(copy, keyword, t + 1 if values is None else values[t])
            copies.append(copy)
    return copies


def shuffled(datasets: Sequence[pydicom.Dataset], seed: int = 1) -> list[pydicom.Dataset]:
    """Return the same data sets in another order of arrival."""
    order = list(datasets)
    random.Random(seed).shuffle(order)
    return order


def part10(dataset: pydicom.Dataset) -> bytes:
    """Return `dataset` as a Part 10 file's bytes."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
