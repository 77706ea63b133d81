"""read_header: what a data set says, as plain values."""

from __future__ import annotations

import io
import warnings

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence

from processing.errors import HeaderError
from processing.frames import Window, read_header
from tests.series_factory import CANARY_ID, CANARY_NAME, SeriesGeometry, ct_series, mr_series, part10


def one_slice(**attributes: object) -> pydicom.Dataset:
    (dataset,) = ct_series(SeriesGeometry(slices=1))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def raw(dataset: pydicom.Dataset, keyword: str, vr: str, value: object) -> pydicom.Dataset:
    """Put in a value as it may stand on disk, past pydicom's own checks."""
    element = DataElement(pydicom.datadict.tag_for_keyword(keyword), vr, value, already_converted=True)
    dataset.add(element)
    return dataset


def test_a_complete_header_is_read_as_written():
    """Spacing, position, orientation, rescale and windows arrive as numbers in the right places."""
    dataset = one_slice(WindowCenter=["40", "600"], WindowWidth=["400", "1500"], VOILUTFunction="SIGMOID")
    header = read_header(dataset)
    assert (header.rows, header.columns) == (6, 8)
    assert (header.row_spacing_mm, header.column_spacing_mm) == (0.75, 0.5)
    assert header.position_lps == (-20.0, 12.5, -7.25)
    assert header.orientation_lps == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert (header.has_rescale, header.rescale_slope, header.rescale_intercept) == (True, 1.0, -1024.0)
    assert header.windows == (
        Window(center=40.0, width=400.0, function="SIGMOID"),
        Window(center=600.0, width=1500.0, function="SIGMOID"),
    )
    assert header.has_pixel_data
    assert header.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert header.acquisition_datetime == "20240229101600.000000"


@pytest.mark.parametrize(
    ("keyword", "field"),
    [
        ("ImagePositionPatient", "position_lps"),
        ("ImageOrientationPatient", "orientation_lps"),
        ("PixelSpacing", "row_spacing_mm"),
        ("SliceThickness", "slice_thickness_mm"),
        ("InstanceNumber", "instance_number"),
        ("BitsStored", "bits_stored"),
    ],
)
def test_absent_and_empty_are_none(keyword, field):
    """A value that is not there is None, whether the element is missing or empty."""
    missing, empty = one_slice(), one_slice(**{keyword: None})
    del missing[keyword]
    assert getattr(read_header(missing), field) is None
    assert getattr(read_header(empty), field) is None


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("Rows", "US", [512, 0]),
        ("PixelSpacing", "DS", ["0.5"]),
        ("ImagePositionPatient", "DS", ["1", "2"]),
        ("ImagePositionPatient", "DS", ["1", "2", "nan"]),
        ("ImageOrientationPatient", "DS", ["1", "0", "0", "0", "1", "none"]),
        ("RescaleSlope", "DS", "steep"),
        ("NumberOfFrames", "IS", "1.5"),
    ],
)
def test_what_decides_and_is_malformed_is_an_error(keyword, vr, value):
    """It names the attribute and the instance, and does not quote the value."""
    dataset = raw(one_slice(), keyword, vr, value)
    with pytest.raises(HeaderError) as caught:
        read_header(dataset)
    assert caught.value.keyword == keyword
    assert caught.value.sop_instance_uids == (dataset.SOPInstanceUID,)
    assert "steep" not in str(caught.value)


@pytest.mark.parametrize("keyword", ["InstanceNumber", "WindowCenter", "SliceThickness", "EchoTime"])
def test_what_decides_nothing_and_is_malformed_is_absent(keyword):
    """A protocol's odd echo time is no reason to refuse an image; pydicom's warnings, which quote it, are mute."""
    dataset = raw(one_slice(), keyword, "DS", "unknown")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        header = read_header(dataset)
    assert header.instance_number is None or keyword != "InstanceNumber"
    assert header.windows == () or keyword != "WindowCenter"


def test_reading_is_silent_about_odd_values():
    """pydicom warns, and logs, with the odd value in the text; a header is read without a word."""
    dataset = one_slice()
    uid = dataset.StudyInstanceUID
    data = part10(dataset).replace(uid.encode(), uid.replace("2.25.", "x.25.").encode())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        header = read_header(pydicom.dcmread(io.BytesIO(data)))
    assert header.study_instance_uid.startswith("x.25.")


def test_without_a_uid_there_is_no_header():
    """Nothing can be accounted for without its SOP Instance UID."""
    dataset = one_slice()
    del dataset.SOPInstanceUID
    with pytest.raises(HeaderError, match="no SOP Instance UID"):
        read_header(dataset)


def test_the_index_may_know_of_the_pixels():
    """A data set read without its pixels does not tell; who knows can say so."""
    dataset = one_slice()
    del dataset.PixelData
    assert not read_header(dataset).has_pixel_data
    assert read_header(dataset, has_pixel_data=True).has_pixel_data


def test_image_type_is_normalised():
    """Padding and case in Image Type do not make another kind of image."""
    header = read_header(raw(one_slice(), "ImageType", "CS", ["derived ", "PRIMARY", "Localizer"]))
    assert header.image_type == ("DERIVED", "PRIMARY", "LOCALIZER")
    assert header.is_localizer


def test_a_modality_lut_is_noticed():
    """A Modality LUT Sequence stands in place of slope and intercept."""
    dataset = one_slice(ModalityLUTSequence=Sequence([pydicom.Dataset()]))
    assert read_header(dataset).has_modality_lut
    assert not read_header(one_slice()).has_modality_lut


def test_a_siemens_coil_element_is_told_from_an_array():
    """One element ("H12") means an uncombined image; several ("HEA;HEP") are a combined one."""
    elements = []
    for name in ("H12", "HEA;HEP"):
        (dataset,) = mr_series(SeriesGeometry(slices=1))
        dataset.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x0F, "LO", name)
        elements.append(read_header(dataset).coil_element)
    assert elements == ["H12", ""]


def test_no_field_names_the_patient():
    """The header holds nothing of the patient that a sidecar could leak."""
    text = repr(read_header(one_slice()))
    assert CANARY_NAME not in text
    assert CANARY_ID not in text
    assert "19550505" not in text
