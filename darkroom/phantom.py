"""A synthetic CT of a head that never was: for the demonstration, and for whoever wants to try the node without patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLICES, ROWS, COLUMNS = 40, 128, 128
STEP_MM, SPACING_MM = 4.0, 1.5
AIR_HU = -1000
INTERCEPT_HU = -1024

# (centre x, y, z; half axes x, y, z; Hounsfield units), in mm, LPS; later ones lie over earlier ones.
_ELLIPSOIDS = (
    ((0, 0, 0), (70, 88, 76), 900),  # skull
    ((0, 0, 0), (64, 82, 70), 35),  # brain
    ((-14, -6, 10), (6, 24, 14), 8),  # the right ventricle, the larger one: the sides cannot be mistaken
    ((12, -6, 10), (4, 18, 10), 8),
    ((0, -84, -20), (9, 10, 14), 60),  # the nose: in front
    ((-30, -62, -24), (12, 12, 12), 15),  # the eyes
    ((30, -62, -24), (12, 12, 12), 15),
    ((36, 30, 26), (9, 9, 9), 70),  # something to find, on the left
)


def phantom_series(prefix: str = "2.25.330219283107492071", patient_id: str = "PHANTOM-1") -> list[Dataset]:
    """Return the series, one CT instance a slice, from the feet to the head.

    Parameters
    ----------
    prefix
        The root of its UIDs; another root is another series.
    patient_id
        Whom it is said to be of.
    """
    return [_slice(index, prefix, patient_id) for index in range(SLICES)]


def _slice(index: int, prefix: str, patient_id: str) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{prefix}.3.{index + 1}")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{prefix}.1", f"{prefix}.2"
    dataset.FrameOfReferenceUID = f"{prefix}.4"
    dataset.PatientName, dataset.PatientID = "Phantom^Ada", patient_id
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20240229"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "113000"
    dataset.StudyID, dataset.AccessionNumber = "1", "A-1"
    dataset.ReferringPhysicianName = dataset.PositionReferenceIndicator = ""
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Manufacturer, dataset.SeriesDescription = "Darkroom", "Synthetic head"
    dataset.SeriesNumber, dataset.AcquisitionNumber, dataset.InstanceNumber = 1, 1, index + 1
    dataset.PatientPosition, dataset.KVP, dataset.SliceThickness = "HFS", "120", str(STEP_MM)
    _place(dataset, index)
    _fill(dataset, _hounsfield_units(_z_mm(index)))
    return dataset


def _place(dataset: Dataset, index: int) -> None:
    corner_mm = -SPACING_MM * (COLUMNS - 1) / 2
    dataset.ImagePositionPatient = [corner_mm, corner_mm, _z_mm(index)]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [SPACING_MM, SPACING_MM]


def _z_mm(index: int) -> float:
    return STEP_MM * (index - (SLICES - 1) / 2)


def _hounsfield_units(z_mm: float) -> NDArray[np.int16]:
    """Return one slice, (rows, columns)."""
    x = (np.arange(COLUMNS) - (COLUMNS - 1) / 2)[None, :] * SPACING_MM
    y = (np.arange(ROWS) - (ROWS - 1) / 2)[:, None] * SPACING_MM
    plane = np.full((ROWS, COLUMNS), AIR_HU, dtype=np.int16)
    for (cx, cy, cz), (ax, ay, az), value in _ELLIPSOIDS:
        inside = ((x - cx) / ax) ** 2 + ((y - cy) / ay) ** 2 + ((z_mm - cz) / az) ** 2 <= 1
        plane[inside] = value
    return plane


def _fill(dataset: Dataset, hounsfield_units: NDArray[np.int16]) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "1", str(INTERCEPT_HU), "HU"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    dataset.PixelData = (hounsfield_units - INTERCEPT_HU).astype("<u2").tobytes()
