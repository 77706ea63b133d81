"""De-identified copies: nothing of the planted patient is left, and everything that is image is."""

from __future__ import annotations

import copy
import hashlib
import io

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, Sequence
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RTStructureSetStorage,
)

from processing.deidentify import deidentify, encode
from processing.errors import DeidentificationError, HeldError
from processing.profile import DEFAULT_PROFILE, Option, Profile
from processing.pseudonyms import Pseudonyms
from processing.vocabulary import SAFE_TEXT
from tests.planted_patient import (
    DATES,
    FAMILY_NAME,
    GIVEN_NAME,
    PATIENT_ID,
    holds,
    planted_patient,
    table_tags,
    text_tags,
)
from tests.series_factory import CANARY_ID, CANARY_NAME, ct_series, mr_series, part10

PSEUDONYMS = Pseudonyms(bytes(range(32)))
OTHER_KEY = Pseudonyms(bytes(range(1, 33)))
STRICT = Profile(options=frozenset())


def clean(
    dataset: Dataset, profile: Profile = DEFAULT_PROFILE, pseudonyms: Pseudonyms = PSEUDONYMS
) -> Dataset:
    """The data set as a reader of the encoded copy has it."""
    return pydicom.dcmread(io.BytesIO(clean_bytes(dataset, profile, pseudonyms)))


def clean_bytes(
    dataset: Dataset, profile: Profile = DEFAULT_PROFILE, pseudonyms: Pseudonyms = PSEUDONYMS
) -> bytes:
    return encode(deidentify(dataset, profile=profile, pseudonyms=pseudonyms).dataset)


def ct(**attributes: object) -> Dataset:
    dataset = ct_series()[0]
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


# -- nothing of the patient is left -----------------------------------------------------------------------------------


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("enhanced", [False, True], ids=["ct", "enhanced-ct"])
def test_no_attribute_of_the_table_survives_at_any_depth(enhanced: bool, implicit: bool) -> None:
    # All 653 rows, in the data set and in items one, two and three deep; preamble and file meta information as well.
    planted = planted_patient(table_tags(), enhanced=enhanced)
    data = clean_bytes(planted.read(implicit=implicit), STRICT)
    assert len(planted.tokens) > 1900
    assert planted.found_in(data) == {}
    assert not any(holds(data, token) for token in (FAMILY_NAME, GIVEN_NAME, *DATES))


@pytest.mark.parametrize("enhanced", [False, True], ids=["ct", "enhanced-ct"])
def test_dates_survive_only_as_times_of_day(enhanced: bool) -> None:
    # Modified dates: every date has moved; the time of day is what the option leaves.
    planted = planted_patient(table_tags(), enhanced=enhanced)
    data = clean_bytes(planted.read())
    assert set(planted.found_in(data)) == {"131415.926535"}
    assert not any(holds(data, token) for token in DATES)


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("enhanced", [False, True], ids=["ct", "enhanced-ct"])
def test_no_text_survives_but_reviewed_words(enhanced: bool, implicit: bool) -> None:
    # Every text attribute of PS3.6 at four depths, each with a word that names nobody and that no list has.
    planted = planted_patient(text_tags(), enhanced=enhanced)
    assert len(planted.tokens) > 2500
    assert planted.found_in(clean_bytes(planted.read(implicit=implicit))) == {}


@pytest.mark.parametrize(
    "text",
    ["Kanariengelb flattert", "ZK 4711-OTTO", "19370429", "29 APR 1937", "SOMATOM Zwartkijker", "4711 471"],
)
def test_attributes_outside_the_table_keep_no_unknown_word(text: str) -> None:
    # A sentence, an identifier, a date, a product with a name behind it: in each attribute that may keep technical text.
    for make in (ct_series, mr_series):
        for tag in SAFE_TEXT:
            dataset = make()[0]
            dataset[tag] = DataElement(tag, pydicom.datadict.dictionary_VR(tag), text[:16])
            assert not holds(clean_bytes(dataset), text[:16]), f"{tag:08X}"


def test_reviewed_technical_text_stays() -> None:
    # What a reader needs to know of the technique is still there, value by value.
    dataset = ct(
        Manufacturer="SIEMENS",
        ManufacturerModelName="SOMATOM Definition AS+",
        SoftwareVersions=["syngo CT 2011A", "29.04.1937"],
        ConvolutionKernel=["I31f", "3"],
    )
    result = clean(dataset)
    assert (result.Manufacturer, result.ManufacturerModelName) == ("SIEMENS", "SOMATOM Definition AS+")
    assert list(result.ConvolutionKernel) == ["I31f", "3"]
    assert "SoftwareVersions" not in result  # one bad value takes the others along


@pytest.mark.parametrize(
    "spelling", ["Ottoline", "ZWARTKIJKER", "zwart-kijker", "ZK 4711 OTTO", "Zwartkijker, O."]
)
def test_no_text_at_all_repeats_the_patient(spelling: str) -> None:
    # The reviewed attributes also go when they say what the data set says of the patient elsewhere.
    dataset = ct()
    dataset.PatientName, dataset.PatientID = f"{FAMILY_NAME}^{GIVEN_NAME}", PATIENT_ID
    for tag in text_tags():
        vr = pydicom.datadict.dictionary_VR(tag)
        if vr in {"LO", "SH"} and tag != 0x00100020:
            dataset[tag] = DataElement(tag, vr, spelling[:16])
    data = clean_bytes(dataset)
    for token in (spelling[:16], GIVEN_NAME, FAMILY_NAME, PATIENT_ID):
        assert not holds(data, token)


def test_private_attributes_overlays_and_curves_go() -> None:
    # With everything that PS3.15 says can hide text, and what follows the data set in its last padding.
    dataset = ct()
    block = dataset.private_block(0x0029, "ZQCREATOR", create=True)
    block.add_new(0x10, "LO", "ZQPRIVATE")
    block.add_new(0x11, "SQ", Sequence([ct()]))
    for tag, vr, value in (
        (0x00041410, "US", 1),
        (0x60000010, "US", 512),
        (0x60003000, "OW", b"ZQOVERLAY!"),
        (0x60020022, "LO", "ZQOVERLAYNAME"),
        (0x50003000, "OW", b"ZQCURVE!"),
        (0x501E2500, "LO", "ZQCURVELABEL"),
        (0xFFFCFFFC, "OB", b"ZQPADDING!"),
        (0x04000500, "SQ", Sequence([ct()])),
        (0xFFFAFFFA, "SQ", Sequence([ct()])),
        (0x00880200, "SQ", Sequence([ct()])),
        (0x00090010, "LO", "ZQGROUP9"),
    ):
        dataset[tag] = DataElement(tag, vr, value)
    data = clean_bytes(dataset)
    assert b"ZQ" not in data
    assert CANARY_NAME.split("^")[0].encode() not in data
    tags = [element.tag for element in clean(dataset)]
    assert 0x04000500 not in tags
    assert min(tags).group >= 8
    assert not any(tag.is_private or tag.group >= 0xFFFA or tag.group >> 8 in {0x50, 0x60} for tag in tags)


def test_what_is_hidden_in_a_number_goes() -> None:
    # A US attribute of one value with twenty bytes in it, an IS that is no number, a CS that is no term.
    dataset = pydicom.dcmread(io.BytesIO(part10(ct())))
    for tag, vr, value in (
        (0x00280106, "US", b"Zwartkijker, Ottolin"),
        (0x00280107, "LO", b"Zwartkijker "),  # not the attribute's own VR
        (0x00281055, "US", b"Zwartkijker "),
        (0x00200012, "IS", b"Zwartkijker "),
        (0x00180022, "CS", b"ZWARTKIJKER "),
        (0x00287FE0, "UR", b"urn:zwartkijker "),
        (0x00091001, "UN", b"Zwartkijker "),
        (0x7FE00003, "OV", b"Zwartkijker, Ottoline!! "),
    ):
        raw = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), vr, len(value), value, 0, False, True)
        dataset[tag] = raw
    assert not holds(clean_bytes(dataset), "Zwartkijker")


def test_pixels_inside_items_go() -> None:
    # A thumbnail in an item is a picture that nobody looked at.
    item = Dataset()
    item.WindowCenter, item.PixelData = "40", b"ZQ"
    item["PixelData"].VR = "OW"
    result = clean(ct(VOILUTSequence=Sequence([item])))
    assert "PixelData" not in result.VOILUTSequence[0]
    assert result.VOILUTSequence[0].WindowCenter == 40


def test_compressed_frames_lose_their_comments() -> None:
    # A comment in the codestream, and bytes behind its end.
    dataset = ct()
    picture = np.arange(dataset.Rows * dataset.Columns, dtype=np.uint16).reshape(
        dataset.Rows, dataset.Columns
    )
    codestream = imagecodecs.jpegls_encode(picture)
    planted = codestream[:2] + b"\xff\xfe\x00\x0dZwartkijker" + codestream[2:] + b"Ottoline"
    dataset.PixelData = encapsulate([planted])
    dataset["PixelData"].is_undefined_length = True
    dataset.PixelRepresentation = 0
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    data = clean_bytes(dataset)
    assert not holds(data, "Zwartkijker")
    assert not holds(data, "Ottoline")
    result = pydicom.dcmread(io.BytesIO(data))
    assert result.file_meta.TransferSyntaxUID == JPEGLSLossless
    np.testing.assert_array_equal(result.pixel_array, picture)


# -- what is image stays ----------------------------------------------------------------------------------------------

GEOMETRY = [
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "BitsStored",
    "InstanceNumber",
    "SeriesNumber",
    "ImageType",
    "PatientPosition",
    "WindowCenter",
    "WindowWidth",
    "RescaleType",
    "KVP",
    "Modality",
]


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_pixels_and_geometry_do_not_change(syntax: str) -> None:
    # In the original's transfer syntax, which is kept.
    dataset = ct()
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dataset.save_as(
        buffer,
        enforce_file_format=True,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    original = pydicom.dcmread(io.BytesIO(buffer.getvalue()))
    result = clean(original)
    assert result.file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(result.pixel_array, original.pixel_array)
    assert {keyword: result.get(keyword) for keyword in GEOMETRY} == {k: original.get(k) for k in GEOMETRY}


def test_the_original_is_not_changed() -> None:
    # Neither one made in memory nor one read from a file.
    made = ct(RequestAttributesSequence=Sequence([ct()]), VOILUTSequence=Sequence([ct()]))
    read = pydicom.dcmread(io.BytesIO(part10(made)))
    for dataset in (made, read):
        before, pixels = copy.deepcopy(dataset), hashlib.sha256(dataset.PixelData).digest()
        result = deidentify(dataset, pseudonyms=PSEUDONYMS).dataset
        result.VOILUTSequence[0].WindowCenter = "4711"
        assert dataset == before
        assert hashlib.sha256(dataset.PixelData).digest() == pixels


def test_a_header_without_pixels_is_enough() -> None:
    # Sidecars and searches need no pixels.
    dataset = ct()
    del dataset.PixelData
    assert "PixelData" not in clean(dataset)


def test_float_pixels_are_cut_to_their_length() -> None:
    # Parametric maps and their like: what is behind the last pixel goes.
    dataset = ct(BitsAllocated=32)
    del dataset.PixelData
    dataset.BitsStored, dataset.HighBit = 32, 31
    pixels = np.arange(dataset.Rows * dataset.Columns, dtype="<f4").tobytes()
    dataset.FloatPixelData = pixels + b"Zwartkijker "
    assert clean(dataset).FloatPixelData == pixels
    dataset.FloatPixelData = pixels[:-4]
    with pytest.raises(DeidentificationError, match="fewer"):
        clean(dataset)


# -- pseudonyms -------------------------------------------------------------------------------------------------------


def test_the_same_input_and_key_give_the_same_bytes() -> None:
    # Whether the data set was made in memory, read, or read and looked at.
    read = pydicom.dcmread(io.BytesIO(part10(ct())))
    first = clean_bytes(read)
    looked_at = pydicom.dcmread(io.BytesIO(part10(ct())))
    str(looked_at)
    assert clean_bytes(read) == first
    assert clean_bytes(looked_at) == first
    assert clean_bytes(ct()) == first


def test_another_key_shares_no_identifier() -> None:
    # Two nodes with keys of their own cannot be joined.
    keywords = (
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "PatientID",
        "StudyDate",
    )
    first, second = clean(ct()), clean(ct(), pseudonyms=OTHER_KEY)
    assert not [keyword for keyword in keywords if first[keyword].value == second[keyword].value]


def test_references_lead_to_where_they_led() -> None:
    # A UID has one pseudonym, wherever it stands; class UIDs and frames of reference of the standard keep theirs.
    target, other = ct_series()[:2]
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = target.SOPClassUID, target.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = target.SeriesInstanceUID, Sequence([item])
    other.ReferencedSeriesSequence = Sequence([series])
    other.SOPInstanceUIDOfConcatenationSource = target.SOPInstanceUID  # not in the table
    result, new_target = clean(other), clean(target)
    reference = result.ReferencedSeriesSequence[0]
    assert reference.SeriesInstanceUID == new_target.SeriesInstanceUID == result.SeriesInstanceUID
    assert reference.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == new_target.SOPInstanceUID
    assert reference.ReferencedInstanceSequence[0].ReferencedSOPClassUID == target.SOPClassUID
    assert result.SOPInstanceUIDOfConcatenationSource == new_target.SOPInstanceUID
    assert result.file_meta.MediaStorageSOPInstanceUID == result.SOPInstanceUID != other.SOPInstanceUID


def test_well_known_uids_stay() -> None:
    # A frame of reference that the standard names identifies nobody.
    assert (
        clean(ct(FrameOfReferenceUID="1.2.840.10008.1.4.1.1")).FrameOfReferenceUID == "1.2.840.10008.1.4.1.1"
    )


def test_one_patient_stays_one_and_two_stay_two() -> None:
    # Over studies and series; the issuer belongs to the identity.
    first = clean(ct_series(name="a")[0])
    assert (first.PatientID, first.PatientName) == (
        clean(mr_series(name="b")[0]).PatientID,
        clean(ct()).PatientName,
    )
    assert first.PatientID not in {
        clean(ct(PatientID="other")).PatientID,
        clean(ct(IssuerOfPatientID="X")).PatientID,
    }


def test_patients_without_an_id_are_told_apart_by_study() -> None:
    # An empty Patient ID must not make one person of all emergency cases.
    first = clean(ct(PatientID="", StudyInstanceUID="1.2.3"))
    same = clean(ct(PatientID="  ", StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4"))
    other = clean(ct(PatientID="", StudyInstanceUID="1.2.4"))
    assert first.PatientID == same.PatientID != other.PatientID


def test_nested_patients_keep_their_own_pseudonym() -> None:
    # A reference to the same patient leads to the same pseudonym; another patient does not become this one.
    own, other = Dataset(), Dataset()
    own.PatientID, other.PatientID = CANARY_ID, "other"
    result = clean(ct(DirectoryRecordSequence=Sequence([]), PlanePositionSequence=Sequence([own, other])))
    assert result.PlanePositionSequence[0].PatientID == result.PatientID
    assert result.PlanePositionSequence[1].PatientID == clean(ct(PatientID="other")).PatientID


# -- dates ------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.dates(), st.dates())
def test_intervals_between_studies_stay(first: object, second: object) -> None:
    # One shift for a patient, in whole days; dates that would leave the calendar go.
    import datetime as dt

    def moved(day: object) -> dt.date | None:
        text = clean(ct(StudyDate=f"{day:%Y%m%d}".rjust(8, "0"))).StudyDate
        return dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC).date() if text else None

    a, b = moved(first), moved(second)
    if a is not None and b is not None:
        assert b - a == second - first  # type: ignore[operator]
        assert a != first


def test_date_and_datetime_agree_and_times_stay() -> None:
    # The same moment as DA with TM and as DT.
    result = clean(ct(AcquisitionDateTime="20240229101600.000000+0100", TimezoneOffsetFromUTC="+0100"))
    assert result.AcquisitionDateTime == f"{result.AcquisitionDate}101600.000000+0100"
    assert result.AcquisitionDate == result.StudyDate != "20240229"
    assert (result.StudyTime, result.TimezoneOffsetFromUTC) == ("101500", "+0100")


def test_without_the_option_dates_go_as_the_type_allows() -> None:
    # Type 2 empty, type 3 gone, type 1 replaced by a date that says nothing; and the result says so.
    result = clean(ct(InstanceCreationDate="20240229"), STRICT)
    assert result.StudyDate == result.StudyTime == result.ContentDate == ""
    assert "InstanceCreationDate" not in result
    assert "AcquisitionDate" not in result
    assert result.LongitudinalTemporalInformationModified == "REMOVED"
    enhanced = ct(SOPClassUID=EnhancedCTImageStorage, ContentDate="20240229", AcquisitionDateTime="20240229")
    assert clean(enhanced, STRICT).ContentDate == "19000101"


def test_malformed_dates_go() -> None:
    # What cannot be moved cannot stay.
    dataset = pydicom.dcmread(io.BytesIO(part10(ct())))
    for tag in (0x00080020, 0x00080022):
        value = b"29/02/24"
        dataset[tag] = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), "DA", 8, value, 0, False, True)
    result = clean(dataset)
    assert result.StudyDate == ""
    assert "AcquisitionDate" not in result


def test_birth_dates_are_emptied_unless_the_patients_characteristics_are_kept() -> None:
    # Then they move with the other dates, except above 89 years, where the age alone identifies.
    kept = Profile(options=frozenset({Option.RETAIN_MODIFIED_DATES, Option.RETAIN_PATIENT_CHARACTERISTICS}))
    assert clean(ct()).PatientBirthDate == ""
    result = clean(
        ct(PatientBirthDate="20240228", PatientAge="093Y", PatientSex="F", PatientWeight="71.5"), kept
    )
    shift = PSEUDONYMS.shift_days("", CANARY_ID)
    assert np.datetime64("2024-02-28") + shift == np.datetime64(
        f"{result.PatientBirthDate[:4]}-{result.PatientBirthDate[4:6]}-{result.PatientBirthDate[6:]}"
    )
    assert (result.PatientAge, result.PatientSex, result.PatientWeight) == ("090Y", "F", 71.5)
    assert clean(ct(PatientBirthDate="19300101"), kept).PatientBirthDate == ""
    assert "PatientAge" not in clean(ct(PatientAge="093Y"))


# -- what the IOD asks for --------------------------------------------------------------------------------------------


def test_types_decide_what_becomes_of_an_attribute() -> None:
    # Type 1 a replacement, type 2 empty, type 3 gone; the same attribute in two IODs.
    assert "DeviceSerialNumber" not in clean(ct(DeviceSerialNumber="4711"))
    enhanced = clean(ct(SOPClassUID=EnhancedCTImageStorage, DeviceSerialNumber="4711"))
    assert enhanced.DeviceSerialNumber == "DEIDENTIFIED"
    assert clean(ct()).AccessionNumber == ""
    assert "StudyDescription" not in clean(ct())


def test_labels_stay_different() -> None:
    # Identifiers that the IOD wants become keyed: two trial subjects must not become one.
    first, second = (
        clean(ct(ClinicalTrialSubjectID=name)).ClinicalTrialSubjectID for name in ("S-01", "S-02")
    )
    assert first != second
    assert "S-0" not in first


def test_structure_sets_keep_their_contours() -> None:
    # No pixels, no burned-in text: references and coordinates stay, names of regions go.
    dataset = ct(SOPClassUID=RTStructureSetStorage, Modality="RTSTRUCT", StructureSetLabel="Zwartkijker")
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(dataset, keyword)
    roi, contour, points = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName = 1, "GTV Zwartkijker"
    points.ContourData, points.ContourGeometricType, points.NumberOfContourPoints = (
        ["1", "2", "3"],
        "POINT",
        1,
    )
    contour.ReferencedROINumber, contour.ContourSequence = 1, Sequence([points])
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence([roi]), Sequence([contour])
    result = clean(dataset)
    assert result.ROIContourSequence[0].ContourSequence[0].ContourData == [1, 2, 3]
    assert result.StructureSetROISequence[0].ROIName == ""
    assert result.StructureSetLabel == "DEIDENTIFIED"


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    item.ContextIdentifier, item.MappingResource, item.MappingResourceName = "4031", "DCMR", "Zwartkijker"
    return item


def test_codes_say_what_the_standard_says() -> None:
    # A known code gets the dictionary's meaning; an unknown one goes, with its sequence where nothing asks for it.
    dataset = ct(
        AnatomicRegionSequence=Sequence(
            [code("T-D1100", "SRT", "head of Zwartkijker"), code("ZK", "99ZQ", "mine")]
        ),
        ProcedureCodeSequence=Sequence([code("4711", "99ZQ", "Zwartkijker")]),
        CTDIPhantomTypeCodeSequence=Sequence([code("ZK", "99ZQ", "Zwartkijker")]),
    )
    result = clean(dataset)
    (region,) = result.AnatomicRegionSequence
    assert (region.CodeValue, region.CodeMeaning) == ("T-D1100", "Head structure (body structure)")
    assert len(region) == 3
    assert "CTDIPhantomTypeCodeSequence" not in result
    assert not holds(clean_bytes(dataset), "Zwartkijker")


def test_a_code_that_must_be_there_is_replaced() -> None:
    # Radionuclide Code Sequence is type 2, View Code Sequence of the X-ray IODs type 1 or 2; here a required one.
    item, shared = Dataset(), Dataset()
    item.AnatomicRegionSequence = Sequence([code("ZK", "99ZQ", "Zwartkijker")])
    shared.FrameAnatomySequence = Sequence([item])
    item.FrameLaterality = "U"
    result = clean(ct(SOPClassUID=EnhancedCTImageStorage, SharedFunctionalGroupsSequence=Sequence([shared])))
    (replaced,) = result.SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0].AnatomicRegionSequence
    assert (replaced.CodeValue, replaced.CodeMeaning) == ("DEIDENTIFIED", "De-identified")


def test_unknown_terms_leave_their_place() -> None:
    # Image Type counts by position; elsewhere the word simply goes.
    result = clean(ct(ImageType=["ORIGINAL", "PRIMARY", "ZWARTKIJKER", "M"], ScanOptions=["ZWART", "FS"]))
    assert list(result.ImageType) == ["ORIGINAL", "PRIMARY", "OTHER", "M"]
    assert result.ScanOptions == "FS"


# -- what the result says of itself -----------------------------------------------------------------------------------


def test_the_result_says_what_was_done() -> None:
    # PS3.15 E.1.1: identity removed, by which method, which options; PS3.3: by which equipment.
    result = clean(ct(DeidentificationMethod="by Zwartkijker", PatientIdentityRemoved="NO"))
    assert result.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in result.DeidentificationMethodCodeSequence] == ["113100", "113107"]
    assert result.LongitudinalTemporalInformationModified == "MODIFIED"
    assert "2026d" in str(result.DeidentificationMethod)
    (equipment,) = result.ContributingEquipmentSequence
    assert equipment.Manufacturer == "Darkroom"
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109104"


def test_nothing_stands_beside_the_data_set_but_ours() -> None:
    # A zero preamble and seven elements of file meta information.
    data = clean_bytes(ct())
    assert data[:132] == bytes(128) + b"DICM"
    meta = pydicom.dcmread(io.BytesIO(data)).file_meta
    assert [element.tag.element for element in meta] == [0, 1, 2, 3, 0x10, 0x12, 0x13]


def test_twice_is_the_same_in_all_but_the_pseudonyms() -> None:
    # Keyed pseudonyms of pseudonyms differ; what is there, and what it says, does not.
    once = clean(ct())
    twice = clean(once)
    changing = {"UI", "DA", "DT"}
    assert list(once.keys()) == list(twice.keys())
    for element in once:
        if element.VR not in changing and element.tag not in {0x00100010, 0x00100020}:
            assert twice[element.tag] == element, element.keyword


def test_the_report_counts_and_names_nobody() -> None:
    # It may be written anywhere.
    done = deidentify(ct(), pseudonyms=PSEUDONYMS)
    assert done.report.sop_instance_uid == done.dataset.SOPInstanceUID
    assert done.report.counts["uids replaced"] == 4
    assert done.report.counts["shifted"] > 6
    assert done.report.codes == DEFAULT_PROFILE.codes
    for secret in (CANARY_NAME, CANARY_ID, ct().SOPInstanceUID, "20240229"):
        assert secret not in repr(done.report)


# -- what is refused --------------------------------------------------------------------------------------------------


def test_what_is_held_is_not_deidentified() -> None:
    # Fail closed: the same reasons, as an error without a word of the patient.
    with pytest.raises(HeldError, match="burned-in-annotation") as caught:
        deidentify(ct(BurnedInAnnotation="YES"), pseudonyms=PSEUDONYMS)
    assert caught.value.sop_instance_uids == (ct().SOPInstanceUID,)
    assert FAMILY_NAME not in str(caught.value)


def test_pixels_without_a_known_encoding_are_refused() -> None:
    # Compressed, and nothing says how.
    dataset = ct()
    dataset.PixelData = encapsulate([b"1234"])
    dataset["PixelData"].is_undefined_length = True
    del dataset.file_meta
    with pytest.raises(DeidentificationError, match="compressed"):
        deidentify(dataset, pseudonyms=PSEUDONYMS)


def test_pixels_are_not_written_in_a_syntax_they_are_not_in() -> None:
    # The bytes would be there, and mean something else.
    result = deidentify(ct(), pseudonyms=PSEUDONYMS).dataset
    assert pydicom.dcmread(io.BytesIO(encode(result, ImplicitVRLittleEndian))).PixelData == ct().PixelData
    for syntax in (JPEGLSLossless, ExplicitVRBigEndian):
        with pytest.raises(DeidentificationError, match="transfer syntax"):
            encode(result, syntax)
