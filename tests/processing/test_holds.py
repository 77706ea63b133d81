"""Reasons to hold an instance, on headers alone."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom import uid as uids
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag

from processing.holds import HANDLED, hold_reasons
from processing.identifiers import MAXIMUM_DEPTH
from processing.iod_types import is_known
from tests.series_factory import ct_series, mr_series, pet_series

if TYPE_CHECKING:
    from pathlib import Path


def codes(dataset: pydicom.Dataset) -> set[str]:
    return {finding.code for finding in hold_reasons(dataset)}


def header(**attributes: object) -> pydicom.Dataset:
    """A CT header with other attributes; None takes one away."""
    dataset = ct_series()[0]
    del dataset.PixelData
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def test_measured_images_leave() -> None:
    # What the node is for: CT, MR and PET without any declaration.
    for dataset in (*ct_series(), *mr_series(), *pet_series()):
        assert codes(dataset) == set()


@pytest.mark.parametrize(
    ("sop_class_uid", "modality"),
    [
        (uids.UltrasoundImageStorage, "US"),
        (uids.SecondaryCaptureImageStorage, "OT"),
        (uids.XRayAngiographicImageStorage, "XA"),
        (uids.XRayRadiofluoroscopicImageStorage, "RF"),
        (uids.VLEndoscopicImageStorage, "ES"),
        (uids.VLPhotographicImageStorage, "XC"),
        (uids.ComputedRadiographyImageStorage, "CR"),
        (uids.DigitalXRayImageStorageForPresentation, "DX"),
        (uids.CTImageStorage, "OT"),
        (uids.CTImageStorage, "US"),
    ],
)
def test_devices_that_burn_in_text_must_declare(sop_class_uid: str, modality: str) -> None:
    # Absent, empty and nonsense are no declaration; NO is; YES holds everything.
    attributes = {"SOPClassUID": sop_class_uid, "Modality": modality}
    assert codes(header(**attributes)) == {"burned-in-annotation-unknown"}
    assert codes(header(**attributes, BurnedInAnnotation="")) == {"burned-in-annotation-unknown"}
    assert codes(header(**attributes, BurnedInAnnotation="MAYBE")) == {"burned-in-annotation-unknown"}
    assert codes(header(**attributes, BurnedInAnnotation="YES")) == {"burned-in-annotation"}
    assert codes(header(**attributes, BurnedInAnnotation="NO")) == set()


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned-in-annotation"),
        ({"BurnedInAnnotation": "MAYBE"}, "burned-in-annotation-unknown"),
        ({"RecognizableVisualFeatures": "YES"}, "recognizable-visual-features"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], "BurnedInAnnotation": "NO"}, "screen"),
        ({"ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"], "BurnedInAnnotation": "NO"}, "screen"),
        ({"ConversionType": "WSD", "BurnedInAnnotation": "NO"}, "screen"),
        (
            {"ImageType": ["DERIVED", "SECONDARY"], "ImagePositionPatient": None},
            "burned-in-annotation-unknown",
        ),
        ({"SamplesPerPixel": 3}, "burned-in-annotation-unknown"),
        ({"SOPClassUID": uids.BasicTextSRStorage, "BurnedInAnnotation": "NO"}, "sop-class"),
        ({"SOPClassUID": uids.KeyObjectSelectionDocumentStorage, "BurnedInAnnotation": "NO"}, "sop-class"),
        (
            {"SOPClassUID": uids.GrayscaleSoftcopyPresentationStateStorage, "BurnedInAnnotation": "NO"},
            "sop-class",
        ),
        ({"SOPClassUID": uids.EncapsulatedPDFStorage, "BurnedInAnnotation": "NO"}, "sop-class"),
        ({"SOPClassUID": uids.VideoEndoscopicImageStorage, "BurnedInAnnotation": "NO"}, "sop-class"),
        ({"SOPClassUID": "1.2.3.4711", "BurnedInAnnotation": "NO"}, "sop-class"),
        ({"SOPClassUID": None, "BurnedInAnnotation": "NO"}, "sop-class"),
        ({"StudyInstanceUID": None}, "identity"),
        ({"SpecificCharacterSet": "ISO_IR 4711"}, "character-set"),
    ],
)
def test_what_is_not_understood_is_held(attributes: dict[str, object], code: str) -> None:
    # Each reason by itself, with everything else as it should be.
    assert codes(header(**attributes)) == {code}


def test_text_that_does_not_decode_is_held() -> None:
    # A name in another character set than the header says would be searched for in vain.
    dataset = header(SpecificCharacterSet="ISO_IR 192")
    name = b"Zwart\xff\xfekijker"
    dataset[0x00100010] = RawDataElement(Tag(0x00100010), "PN", len(name), name, 0, False, True)
    assert codes(dataset) == {"character-set"}


def test_video_is_held() -> None:
    # Nothing here understands its bytes.
    dataset = header()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uids.MPEG4HP41
    assert codes(dataset) == {"transfer-syntax"}


def test_nesting_without_end_is_held() -> None:
    dataset = header()
    inner = dataset
    for _ in range(MAXIMUM_DEPTH + 2):
        item = pydicom.Dataset()
        inner.PlanePositionSequence = [item]
        inner = item
    assert codes(dataset) == {"sequence"}


def test_a_finding_names_the_instance_and_nothing_else() -> None:
    # The reason is shown to operators and written into logs.
    (finding,) = hold_reasons(header(BurnedInAnnotation="YES"))
    assert finding.sop_instance_uids == (ct_series()[0].SOPInstanceUID,)
    assert "Zwartkijker" not in f"{finding}"


def test_every_handled_class_has_its_types() -> None:
    # Without them nobody could tell what may be removed.
    assert {uid for uid in HANDLED if not is_known(uid)} == set()


@pytest.mark.corpus
def test_the_corpus_is_held_where_it_must_be(corpus: Path) -> None:
    # Dose pages, patient pages, result tables, scouts in a screen, ultrasound with names; and no CT, MR or PET else.
    held, passed = set(), set()
    with (corpus / "INDEX.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            if row["set"] in {
                "ct_burnedin_screens",
                "us_burnedin",
                "ct_head_ge",
                "mr_fmri_4d_ge",
                "ct_pet_mr_rtstruct",
            }:
                path = corpus / row["path"]
                if row["kind"] != "dicom" or path.name == "DIRFILE":
                    continue
                dataset = pydicom.dcmread(path, stop_before_pixels=True)
                (held if hold_reasons(dataset) else passed).add(row["path"])
    assert {
        path for path in held if not path.startswith(("ct_burnedin_screens/S21570/S4010", "us_burnedin"))
    } == set()
    assert len(held) == 8
    assert not any("S4010" in path or "us_burnedin" in path for path in passed)
    assert len(passed) > 400
