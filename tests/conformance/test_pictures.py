"""Pictures beside DCMTK's: the same grey levels from an implementation that is not ours."""

from __future__ import annotations

import io
import subprocess

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from processing.frames import Window, read_header
from processing.pictures import encode_frame_picture
from processing.presentation import read_presentation
from tests.series_factory import SeriesGeometry, ct_series, set_pixels
from tests.witnesses import dcmtk

pytestmark = pytest.mark.witness


def our_picture(dataset: Dataset) -> np.ndarray:
    with Image.open(io.BytesIO(encode_frame_picture(dataset, read_header(dataset)))) as picture:
        return np.asarray(picture).astype(int)


def their_picture(dataset: Dataset, folder, *options: str) -> np.ndarray:
    """The first frame as DCMTK shows it, on its own pixels."""
    dataset.save_as(folder / "image.dcm", enforce_file_format=True)
    command = [dcmtk("dcm2pnm"), *options, "+F", "1", "-a", "+on", "image.dcm", "image.png"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    with Image.open(folder / "image.png") as picture:
        return np.asarray(picture.convert("L")).astype(int)


@pytest.mark.corpus
@pytest.mark.parametrize(
    "path",
    [
        "dx_cr_mono1/dx_image.dcm",
        "dx_cr_mono1/RG1_J2KI.dcm",
        "ct_head_ge/01.dcm",
        "ct_head_ge/20.dcm",
        "ct_burnedin_screens/S21570/S1000/I10",
        "ts_ct/testImages/CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
        "ts_mr_mosaic/1.dcm",
        "us_burnedin/ultrasounds/GREYSCALE_IMAGE.dcm",
        "multiframe_cine/NM-MONO2-16-13x-heart",
    ],
)
def test_real_images_with_their_own_window(path, corpus, tmp_path) -> None:
    """CR and DX of MONOCHROME1, CT, MR, US and NM look as DCMTK shows them, within one grey level."""
    dataset = pydicom.dcmread(corpus / path)
    ours = our_picture(dataset)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
    theirs = their_picture(dataset, tmp_path, "+Wi", "1")
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_packaged_images(name, tmp_path) -> None:
    """The same for images that come with pydicom; the one without a window gets one."""
    dataset = pydicom.dcmread(str(get_testdata_file(name)))
    if "WindowCenter" not in dataset:
        dataset.WindowCenter, dataset.WindowWidth = 600, 1600
    assert np.abs(our_picture(dataset) - their_picture(dataset, tmp_path, "+Wi", "1")).max() <= 1


def ramp(**attributes: object) -> Dataset:
    """An image that holds every value from -1024 to 3071 HU."""
    geometry = SeriesGeometry(slices=1, rows=64, columns=64, row_spacing_mm=1.0, column_spacing_mm=1.0)
    (dataset,) = ct_series(geometry)
    set_pixels(dataset, np.arange(4096, dtype=np.uint16).reshape(64, 64), bits_stored=12)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
@pytest.mark.parametrize(
    ("center", "width"), [(40, 400), (0, 1), (127.5, 255.25), (-600, 1600), (5000, 10), (300, 2)]
)
def test_windows_over_all_values(function, center, width, tmp_path) -> None:
    """Every value under every kind of window that DCMTK knows."""
    dataset = ramp(WindowCenter=str(center), WindowWidth=str(width), VOILUTFunction=function)
    assert np.abs(our_picture(dataset) - their_picture(dataset, tmp_path, "+Wi", "1")).max() <= 1


@pytest.mark.parametrize(
    ("photometric", "shape"), [("MONOCHROME1", ""), ("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")]
)
def test_presentation(photometric, shape, tmp_path) -> None:
    """What the standard allows of inversions is shown alike; both together invert once."""
    dataset = ramp(PhotometricInterpretation=photometric)
    if shape:
        dataset.PresentationLUTShape = shape
    assert np.abs(our_picture(dataset) - their_picture(dataset, tmp_path, "+Wi", "1")).max() <= 1


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("first", [-200, 0, 500])
def test_voi_tables(bits, first, tmp_path) -> None:
    """VOI LUTs of 8 and 16 bits, from negative and positive first values, map every value alike."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS", [256, first, bits])
    curve = np.rint(np.linspace(0, 1, 256) ** 2 * ((1 << bits) - 1)).astype("<u2")
    item.add_new("LUTData", "OW", curve.tobytes())
    dataset = ramp(VOILUTSequence=[item])
    del dataset.WindowCenter, dataset.WindowWidth
    assert np.abs(our_picture(dataset) - their_picture(dataset, tmp_path, "+Wl", "1")).max() <= 1


def test_proportions(tmp_path) -> None:
    """Pixels that are not square are stretched in the same direction and as far."""
    (dataset,) = ct_series(
        SeriesGeometry(slices=1, rows=40, columns=30, row_spacing_mm=2.0, column_spacing_mm=0.5)
    )
    dataset.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    command = [dcmtk("dcm2pnm"), "+a", "+Sxv", "30", "+on", "image.dcm", "image.png"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with Image.open(tmp_path / "image.png") as theirs:
        height, width = our_picture(dataset).shape
        assert height / width == pytest.approx(theirs.height / theirs.width, rel=0.01)
        assert height > 3 * width


@pytest.mark.corpus
def test_windows_of_an_enhanced_image(corpus) -> None:
    """The windows in the functional groups of a real enhanced CT are found."""
    dataset = pydicom.dcmread(
        corpus / "ct_enhanced/testImages/encapsulated/multi-frame/CT0012.explicit_little_endian.dcm"
    )
    item = dataset.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0]
    voi = read_presentation(dataset, read_header(dataset)).voi
    centers = np.atleast_1d(item.WindowCenter).astype(float)
    assert isinstance(voi, Window)
    assert voi.center == centers[0]
