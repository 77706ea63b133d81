from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from processing.contact_sheet import SHEET_WIDTH, draw_contact_sheet, encode_contact_sheet
from processing.frames import read_header
from processing.letters import letter_pixels
from processing.volume import fill_volume, plan_volumes
from tests.series_factory import (
    AXIAL,
    CANARY_ID,
    CANARY_NAME,
    CORONAL,
    OBLIQUE,
    SAGITTAL,
    SeriesGeometry,
    ct_series,
    mr_series,
    shuffled,
)


def volume_of(datasets):
    by_uid = {dataset.SOPInstanceUID: dataset for dataset in datasets}
    (plan,) = plan_volumes([read_header(dataset) for dataset in datasets]).volumes
    return fill_volume(plan, lambda header: by_uid[header.sop_instance_uid])


def inner(world):
    """A bright ball of 30 mm radius in the head half of a dark cube, towards the front and the right."""
    ball = np.linalg.norm(world - np.array([-10.0, -10.0, 10.0]), axis=-1) < 30.0
    return np.where(ball, 240.0, -100.0)


def cube(orientation, *, slices=40, step_mm=4.0, spacing=(2.0, 2.0), rows=80, columns=80):
    """The data sets of a cube of 160 mm around the origin, acquired in an orientation."""
    geometry = SeriesGeometry(
        slices=slices,
        rows=rows,
        columns=columns,
        row_spacing_mm=spacing[0],
        column_spacing_mm=spacing[1],
        step_mm=step_mm,
        orientation_lps=orientation,
        origin_lps=(0.0, 0.0, 0.0),
    )
    row, column = np.asarray(orientation).reshape(2, 3)
    half = np.array([(columns - 1) * spacing[1], (rows - 1) * spacing[0], (slices - 1) * step_mm]) / 2
    origin = -(row * half[0] + column * half[1] + geometry.normal * half[2])
    from dataclasses import replace

    return ct_series(replace(geometry, origin_lps=tuple(origin)), phantom=inner)


def middle_pictures(sheet):
    """The middle picture of each of the sheet's three rows: axial, coronal, sagittal."""
    rows = np.split(sheet, 3)
    width = sheet.shape[1] // 5
    return [row[14:-14, 2 * width + 14 : 3 * width - 14] for row in rows]


@pytest.mark.parametrize(
    "orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE], ids=["axial", "coronal", "sagittal", "oblique"]
)
def test_the_ball_is_where_it_belongs(orientation) -> None:
    """Front, right and head are left or up in every view, from any acquisition, and the ball stays round."""
    sheet = draw_contact_sheet(volume_of(cube(orientation)))
    assert sheet.shape[1] == SHEET_WIDTH
    for picture in middle_pictures(sheet):
        ball = np.argwhere(picture > 128)
        height, width = picture.shape
        assert ball.size
        assert ball[:, 0].mean() < 0.47 * height  # towards the head or the front
        assert ball[:, 1].mean() < 0.47 * width  # towards the right or the front
        extent = np.ptp(ball, axis=0) + 1
        assert extent[0] == pytest.approx(extent[1], rel=0.12)


@pytest.mark.parametrize(
    ("slices", "step_mm", "spacing", "rows", "columns"),
    [(32, 5.0, (0.5, 0.5), 320, 320), (160, 1.0, (1.0, 4.0), 160, 40), (160, 1.0, (4.0, 1.0), 40, 160)],
    ids=["slices of 5 mm", "wide pixels", "high pixels"],
)
def test_nothing_is_stretched(slices, step_mm, spacing, rows, columns) -> None:
    """Voxels of any shape make the same pictures: a cube is square and a ball round in all three views."""
    volume = volume_of(
        cube(AXIAL, slices=slices, step_mm=step_mm, spacing=spacing, rows=rows, columns=columns)
    )
    for picture in middle_pictures(draw_contact_sheet(volume)):
        assert picture.shape[0] == pytest.approx(picture.shape[1], abs=2)
        extent = np.ptp(np.argwhere(picture > 128), axis=0) + 1
        assert extent[0] == pytest.approx(extent[1], rel=0.12)
        assert extent[0] == pytest.approx(picture.shape[0] * 56.6 / 160, rel=0.1)


def test_letters_name_the_edges() -> None:
    """Around the first picture stand the letters of its edges, and no other ink is outside the pictures."""
    sheet = draw_contact_sheet(volume_of(cube(AXIAL)))
    band = sheet[: sheet.shape[0] // 3]
    height, width = band.shape[0] - 28, band.shape[1] // 5 - 28

    def stands(letter: str, row: int, column: int) -> bool:
        pixels = letter_pixels(letter)
        box = band[row - 3 : row + 4, column - 2 : column + 3]
        return bool(np.array_equal(box > 0, pixels))

    assert stands("R", 14 + height // 2, 7)
    assert stands("L", 14 + height // 2, 14 + width + 7)
    assert stands("A", 7, 14 + width // 2)
    assert stands("P", 14 + height + 7, 14 + width // 2)
    outside = band.copy()
    for column in range(5):
        left = column * (width + 28) + 14
        outside[14:-14, left : left + width] = 0
    ink = sum(int(letter_pixels(letter).sum()) for letter in "RLAP")
    assert np.count_nonzero(outside) == 5 * ink


@pytest.mark.parametrize("slices", [1, 2, 3, 1000])
def test_any_number_of_slices(slices) -> None:
    """One slice is one picture; two make thin side views; a thousand make no larger sheet than the others."""
    geometry = SeriesGeometry(slices=slices, rows=16, columns=16, step_mm=1.0)
    sheet = draw_contact_sheet(volume_of(ct_series(geometry)))
    assert sheet.shape[1] <= SHEET_WIDTH
    assert sheet.shape[0] <= 1200
    if slices == 1:
        assert sheet.shape == (540, 540)


def test_the_header_window_is_used() -> None:
    """CT is shown with the window of its middle slice: what is above it is white, what is below it black."""
    datasets = cube(AXIAL)
    for dataset in datasets:
        dataset.WindowCenter, dataset.WindowWidth = "70", "100"
    picture = middle_pictures(draw_contact_sheet(volume_of(datasets)))[0]
    assert set(np.unique(picture)) >= {0, 255}
    for dataset in datasets:
        dataset.WindowCenter, dataset.WindowWidth = "3000", "100"
    assert middle_pictures(draw_contact_sheet(volume_of(datasets)))[0].max() == 0
    datasets[20].WindowCenter = "70"
    assert middle_pictures(draw_contact_sheet(volume_of(datasets)))[0].max() == 255


def test_without_a_window_the_brightness_is_sensible() -> None:
    """MR without windows uses the whole grey scale and not only its ends."""
    geometry = SeriesGeometry(slices=20, rows=40, columns=40)
    sheet = draw_contact_sheet(volume_of(mr_series(geometry)))
    assert np.percentile(sheet[sheet > 0], [5, 95]) == pytest.approx([40, 215], abs=35)


def test_an_inverted_volume_is_inverted() -> None:
    """MONOCHROME1 turns the grey levels round, after the window."""
    datasets = cube(AXIAL)
    plain = middle_pictures(draw_contact_sheet(volume_of(datasets)))[0].astype(int)
    for dataset in datasets:
        dataset.PhotometricInterpretation = "MONOCHROME1"
    inverted = middle_pictures(draw_contact_sheet(volume_of(datasets)))[0].astype(int)
    assert np.abs(255 - plain - inverted).max() <= 2


def test_same_volume_same_bytes() -> None:
    """The sheet does not depend on the order of arrival, nor on when it is made."""
    datasets = cube(OBLIQUE)
    content = encode_contact_sheet(volume_of(datasets))
    assert encode_contact_sheet(volume_of(shuffled(datasets))) == content
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.info == {}
        assert picture.size[0] == SHEET_WIDTH
    assert CANARY_NAME.encode() not in content
    assert CANARY_ID.encode() not in content
