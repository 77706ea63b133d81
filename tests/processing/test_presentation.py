from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from processing.frames import Window, read_header
from processing.presentation import modality_values, read_presentation
from processing.windowing import LookupTable
from tests.series_factory import ct_series


def image(**attributes: object) -> Dataset:
    (dataset, *_) = ct_series()
    del dataset.RescaleSlope, dataset.RescaleIntercept
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def table(descriptor: list[int], data: object, vr: str = "US") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if min(descriptor) < 0 else "US", descriptor)
    item.add_new("LUTData", vr, data)
    return item


def sent(dataset: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> Dataset:
    """The data set as it is read after it was written in a transfer syntax."""
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def read(dataset: Dataset):
    return read_presentation(dataset, read_header(dataset))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_table_comes_before_windows(syntax) -> None:
    """A VOI LUT says in full what windows approach, so it is used; without one, the first window is."""
    dataset = image(WindowCenter=[10, 20], WindowWidth=[100, 200])
    assert read(dataset).voi == Window(center=10, width=100)
    dataset.VOILUTSequence = [table([4, 100, 16], [0, 10, 1000, 65535])]
    voi = read(sent(dataset, syntax)).voi
    assert isinstance(voi, LookupTable)
    assert (voi.first_mapped, voi.bits, voi.entries.tolist()) == (100, 16, [0, 10, 1000, 65535])


@pytest.mark.parametrize(
    ("first", "representation", "intercept", "expected"),
    [
        (65436, 1, 0, -100),  # signed pixels, sent as US
        (65436, 0, -1024, -100),  # the rescale makes signed values
        (65436, 0, 0, 65436),  # unsigned all the way
        (-100, 1, 0, -100),  # sent as SS
        (100, 1, 0, 100),
    ],
)
def test_the_first_value_mapped_is_signed_as_its_input_is(first, representation, intercept, expected) -> None:
    """Whatever VR a descriptor was sent with, the sign follows from the values that come in."""
    dataset = image(PixelRepresentation=representation)
    if intercept:
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, intercept
    dataset.VOILUTSequence = [table([2, first, 8], [0, 255])]
    voi = read(dataset).voi
    assert isinstance(voi, LookupTable)
    assert voi.first_mapped == expected


@pytest.mark.parametrize(
    ("data", "vr"),
    [
        ([1, 2, 3, 250], "US"),
        (b"\x01\x00\x02\x00\x03\x00\xfa\x00", "OW"),
        (b"\x01\x02\x03\xfa", "OW"),  # two entries in each word
    ],
    ids=["words", "bytes of words", "bytes"],
)
def test_entries_of_eight_bits_come_in_every_form(data, vr) -> None:
    """8-bit tables are sent as words, as bytes of words, and packed; all mean the same."""
    dataset = image(VOILUTSequence=[table([4, 0, 8], data, vr)])
    voi = read(sent(dataset)).voi
    assert isinstance(voi, LookupTable)
    assert voi.entries.tolist() == [1, 2, 3, 250]


def test_entries_of_a_big_endian_file() -> None:
    """OW data that pydicom leaves in the file's byte order is read in it."""
    dataset = image(VOILUTSequence=[table([2, 0, 16], b"\x01\x02\xff\xfe", "OW")])
    del dataset.PixelData
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    voi = read(dataset).voi
    assert isinstance(voi, LookupTable)
    assert voi.entries.tolist() == [0x0102, 0xFFFE]


def test_zero_entries_mean_65536() -> None:
    """The largest table has no place for its own count."""
    dataset = image(VOILUTSequence=[table([0, 0, 16], np.arange(65536, dtype="<u2").tobytes(), "OW")])
    voi = read(sent(dataset)).voi
    assert isinstance(voi, LookupTable)
    assert len(voi.entries) == 65536


@pytest.mark.parametrize(
    "item",
    [
        Dataset(),
        table([4, 0, 16], [1, 2, 3]),
        table([4, 0, 16], b"\x01\x02\x03", "OW"),
        table([4, 0, 17], [1, 2, 3, 4]),
        table([4, 0, 0], [1, 2, 3, 4]),
        table([4, 0], [1, 2, 3, 4]),
    ],
    ids=["empty", "too few words", "too few bytes", "17 bits", "no bits", "half a descriptor"],
)
def test_a_broken_table_is_not_used(item) -> None:
    """A table that does not fit its descriptor is passed over, for the next one or for the windows."""
    dataset = image(WindowCenter=10, WindowWidth=100, VOILUTSequence=[item])
    assert read(dataset).voi == Window(center=10, width=100)
    dataset.VOILUTSequence = [item, table([2, 0, 8], [0, 255])]
    assert isinstance(read(dataset).voi, LookupTable)


def test_modality_lut() -> None:
    """A Modality LUT maps stored values and leaves a rescale no say."""
    dataset = image(
        ModalityLUTSequence=[table([3, 1, 16], [500, 600, 700])], RescaleSlope=2, RescaleIntercept=9
    )
    values = modality_values(np.array([[0, 1, 2], [3, 4, 5]]), dataset, read_header(dataset))
    assert values.tolist() == [[500, 500, 600], [700, 700, 700]]


def test_rescale() -> None:
    """Slope and intercept are applied in floating point; without them, values stay integers."""
    dataset = image()
    stored = np.array([[0, 100]], dtype=np.int16)
    assert modality_values(stored, dataset, read_header(dataset)) is stored
    dataset.RescaleSlope, dataset.RescaleIntercept = "0.5", "-10"
    assert modality_values(stored, dataset, read_header(dataset)).tolist() == [[-10.0, 40.0]]


def functional_groups(slope: float | None = None, center: float | None = None) -> Dataset:
    groups = Dataset()
    if slope is not None:
        groups.PixelValueTransformationSequence = [Dataset()]
        groups.PixelValueTransformationSequence[0].RescaleSlope = slope
        groups.PixelValueTransformationSequence[0].RescaleIntercept = 0
    if center is not None:
        groups.FrameVOILUTSequence = [Dataset()]
        groups.FrameVOILUTSequence[0].WindowCenter = center
        groups.FrameVOILUTSequence[0].WindowWidth = 50
    return groups


def test_frames_of_an_enhanced_image_have_their_own() -> None:
    """A frame's own functional group comes before the shared one, that before the instance's."""
    dataset = image(WindowCenter=1, WindowWidth=50)
    dataset.SharedFunctionalGroupsSequence = [functional_groups(slope=3, center=30)]
    dataset.PerFrameFunctionalGroupsSequence = [functional_groups(), functional_groups(slope=5, center=50)]
    header = read_header(dataset)
    stored = np.array([[2]])
    assert [read_presentation(dataset, header, frame=frame).voi.center for frame in (0, 1, 2)] == [30, 50, 30]  # type: ignore[union-attr]
    assert [modality_values(stored, dataset, header, frame=f).item() for f in (0, 1, 2)] == [6, 10, 6]
    del dataset.SharedFunctionalGroupsSequence
    assert read_presentation(dataset, header, frame=0).voi == Window(center=1, width=50)
