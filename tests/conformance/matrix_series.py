"""What makes the series of the matrix: plain ones, changed in one respect, or several put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRBigEndian

from tests.series_factory import SeriesGeometry, ct_series, mr_series, set_pixels, uid

Datasets = list[pydicom.Dataset]
Change = Callable[[int, pydicom.Dataset], None]


def ct(change: Change | None = None, *, mr: bool = False, **geometry: Any) -> Callable[[], Datasets]:
    """Return what makes a series of that geometry, each data set changed."""

    def make() -> Datasets:
        datasets = (mr_series if mr else ct_series)(SeriesGeometry(**geometry))
        for k, dataset in enumerate(datasets):
            if change is not None:
                change(k, dataset)
        return datasets

    return make


def of_values(**options: Any) -> Callable[[], Datasets]:
    return lambda: ct_series(SeriesGeometry(), **options)


def setting(**values: Any) -> Change:
    """Return a change that sets attributes; None deletes, a callable gets the slice's number."""

    def change(k: int, dataset: pydicom.Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                if keyword in dataset:
                    delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value(k) if callable(value) else value)

    return change


def every_second(**values: Any) -> Change:
    """Return a change that sets attributes of slices 1, 3, ... only."""
    change = setting(**values)
    return lambda k, dataset: change(k, dataset) if k % 2 else None


def rounded_positions(decimals: int) -> Change:
    def change(_: int, dataset: pydicom.Dataset) -> None:
        dataset.ImagePositionPatient = [f"{float(x):.{decimals}f}" for x in dataset.ImagePositionPatient]

    return change


def rounded_cosines(decimals: int) -> Change:
    def change(_: int, dataset: pydicom.Dataset) -> None:
        dataset.ImageOrientationPatient = [
            f"{float(x):.{decimals}f}" for x in dataset.ImageOrientationPatient
        ]

    return change


def position_noise(size_mm: float) -> Change:
    def change(k: int, dataset: pydicom.Dataset) -> None:
        noise = np.random.default_rng(k).uniform(-size_mm, size_mm, 3)
        dataset.ImagePositionPatient = [
            f"{float(x) + e:.9g}" for x, e in zip(dataset.ImagePositionPatient, noise, strict=True)
        ]

    return change


def scaled_by(slope: Callable[[int], float], intercept: Callable[[int], float]) -> Change:
    """Return a change that stores the same modality values with another rescale."""

    def change(k: int, dataset: pydicom.Dataset) -> None:
        values = stored_values(dataset) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        set_pixels(dataset, np.rint((values - intercept(k)) / slope(k)).astype("int16"))
        dataset.RescaleSlope, dataset.RescaleIntercept = repr(slope(k)), repr(intercept(k))

    return change


def stored_values(dataset: pydicom.Dataset) -> np.ndarray:
    kind = "i2" if dataset.PixelRepresentation else "u2"
    return np.frombuffer(dataset.PixelData, dtype=f"<{kind}").reshape(dataset.Rows, dataset.Columns)


def twelve_bits(*, signed: bool = False, garbage: int = 0, high_bit: int = 11, shift: int = 0) -> Change:
    """Return a change to 12 bits stored, with an old overlay's bits above them, or moved up in their cells."""

    def change(_: int, dataset: pydicom.Dataset) -> None:
        cells = (stored_values(dataset).astype("int64") & 0xFFF) << shift | garbage
        dataset.PixelData = cells.astype("<u2").tobytes()
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, high_bit, int(signed)

    return change


def big_endian(_: int, dataset: pydicom.Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = np.frombuffer(dataset.PixelData, dtype="<u2").astype(">u2").tobytes()


def coil(name: str) -> Change:
    def change(_: int, dataset: pydicom.Dataset) -> None:
        dataset.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x0F, "LO", name)

    return change


def padded(_: int, dataset: pydicom.Dataset) -> None:
    dataset.PixelPaddingValue = -2000


def renamed(datasets: Iterable[pydicom.Dataset], word: str, **values: Any) -> Datasets:
    """Return copies of data sets under other SOP Instance UIDs, with attributes set."""
    copies = []
    for k, dataset in enumerate(datasets):
        copy = deepcopy(dataset)
        copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = uid(dataset.SOPInstanceUID, word)
        setting(**values)(k, copy)
        copies.append(copy)
    return copies


def together(*parts: Callable[[], Datasets], **values: Any) -> Callable[[], Datasets]:
    """Return what makes one series of several: the second and later parts get `values`."""

    def make() -> Datasets:
        first, *others = (part() for part in parts)
        return first + [d for n, other in enumerate(others) for d in renamed(other, f"part {n}", **values)]

    return make


def plus_twin(**values: Any) -> Callable[[], Datasets]:
    def make() -> Datasets:
        datasets = ct()()
        (twin,) = renamed(datasets[2:3], "twin", **values)
        return [*datasets, twin]

    return make


def other_pixels() -> Datasets:
    *datasets, twin = plus_twin()()
    set_pixels(twin, stored_values(twin) + np.int16(1))
    return [*datasets, twin]


def sheared(orientation: Sequence[float]) -> tuple[float, ...]:
    x, y, z = orientation[3:]
    return (*orientation[:3], x + 0.1, y, z)


def jitter(step_mm: float, fraction: float) -> list[float]:
    offsets = [k * step_mm for k in range(8)]
    offsets[4] += fraction * step_mm
    return offsets


def changed(make: Callable[[], Datasets], change: Change) -> Datasets:
    datasets = make()
    for k, dataset in enumerate(datasets):
        change(k, dataset)
    return datasets
