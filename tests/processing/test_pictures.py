from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from processing.errors import PixelError
from processing.frames import Window, read_header
from processing.pictures import encode_frame_picture, encode_picture, encode_slice_picture, pixel_proportions
from processing.volume import fill_volume, plan_volumes
from processing.windowing import Presentation
from tests.series_factory import SeriesGeometry, ct_series, mr_series, set_pixels


def decoded(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == "L"
        return np.asarray(picture).astype(int)


def square(**attributes: object):
    geometry = SeriesGeometry(slices=1, rows=8, columns=8, row_spacing_mm=1.0, column_spacing_mm=1.0)
    (dataset,) = ct_series(geometry)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_stored_to_modality_to_display() -> None:
    """The picture is the rescale, then the window, then the inversion, and nothing else."""
    dataset = square(WindowCenter=40, WindowWidth=400)
    set_pixels(dataset, np.arange(64, dtype=np.int16).reshape(8, 8) * 10 + 800)
    hounsfield = np.arange(64).reshape(8, 8) * 10 + 800 - 1024
    expected = np.clip(((hounsfield - 39.5) / 399 + 0.5) * 255, 0, 255)
    shown = decoded(encode_frame_picture(dataset, read_header(dataset)))
    assert np.abs(shown - expected).max() <= 0.5
    dataset.PhotometricInterpretation = "MONOCHROME1"
    inverted = decoded(encode_frame_picture(dataset, read_header(dataset)))
    assert np.abs(inverted - (255 - expected)).max() <= 0.5


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PixelSpacing": [1.0, 0.5]}, (1.0, 0.5)),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({"PixelSpacing": [0, 0], "PixelAspectRatio": [2, 1]}, (2.0, 1.0)),
        ({"PixelSpacing": None, "PixelAspectRatio": [-2, 1]}, (1.0, 1.0)),
        ({"PixelSpacing": [1e9, 1e-9]}, (1.0, 1.0)),
        ({"PixelSpacing": None}, (1.0, 1.0)),
    ],
    ids=str,
)
def test_proportions(attributes, expected) -> None:
    """Spacing in the patient, on the detector, or the plain ratio; what cannot be meant is passed over."""
    dataset = square(**attributes)
    assert pixel_proportions(dataset, read_header(dataset)) == expected


def test_pixels_that_are_not_square() -> None:
    """Rows twice as far apart as columns make a picture twice as high; the columns keep their pixels."""
    dataset = square(PixelSpacing=[1.0, 0.5])
    assert decoded(encode_frame_picture(dataset, read_header(dataset))).shape == (16, 8)
    dataset = square(PixelSpacing=[0.5, 1.5])
    assert decoded(encode_frame_picture(dataset, read_header(dataset))).shape == (8, 24)


def test_frames_of_a_multi_frame_image() -> None:
    """Each frame is its own picture."""
    dataset = square(WindowCenter=128, WindowWidth=256, RescaleIntercept=0)
    frames = np.stack([np.full((8, 8), level, dtype="<i2") for level in (10, 200)])
    dataset.NumberOfFrames, dataset.PixelData = 2, frames.tobytes()
    header = read_header(dataset)
    levels = [decoded(encode_frame_picture(dataset, header, frame=frame)).mean() for frame in (0, 1)]
    assert levels == [10, 200]
    with pytest.raises(PixelError):
        encode_frame_picture(dataset, header, frame=2)


def test_colour_is_refused_by_name() -> None:
    """A palette is no grey: no picture rather than a wrong one, and the error names the instance."""
    dataset = square(PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(PixelError) as caught:
        encode_frame_picture(dataset, read_header(dataset))
    assert caught.value.sop_instance_uids == (dataset.SOPInstanceUID,)


def test_slices_of_a_volume() -> None:
    """A slice's picture is the one of its frame; without windows all slices share the volume's."""
    geometry = SeriesGeometry(slices=4, rows=20, columns=20)
    for datasets in (ct_series(geometry), mr_series(geometry)):
        by_uid = {dataset.SOPInstanceUID: dataset for dataset in datasets}
        (plan,) = plan_volumes([read_header(dataset) for dataset in datasets]).volumes
        volume = fill_volume(plan, lambda header, by_uid=by_uid: by_uid[header.sop_instance_uid])
        pictures = [decoded(encode_slice_picture(volume, index)) for index in range(4)]
        if plan.headers[0].windows:
            header = plan.headers[2]
            frame = decoded(encode_frame_picture(by_uid[header.sop_instance_uid], header))
            assert np.array_equal(pictures[2], frame)
        else:  # the phantom grows along the stack, so each slice is brighter than the one before
            means = [picture.mean() for picture in pictures]
            assert means == sorted(means)
            assert means[-1] - means[0] > 20


def test_same_values_same_bytes() -> None:
    """A picture made again is the same file."""
    values = np.arange(100).reshape(10, 10)
    presentation = Presentation(voi=Window(center=50, width=100))
    first = encode_picture(values, presentation, row_spacing=0.7, column_spacing=0.5)
    assert encode_picture(values.copy(), presentation, row_spacing=0.7, column_spacing=0.5) == first
