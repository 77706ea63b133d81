"""Types of attributes in IODs, as the standard's own tables have them."""

from __future__ import annotations

import pytest
from pydicom import uid as uids

from processing.iod_types import UNKNOWN, AttributeType, iod_types, is_known


@pytest.mark.parametrize(
    ("sop_class_uid", "path", "attribute_type"),
    [
        (uids.CTImageStorage, (0x00080020,), 2),  # Study Date, General Study
        (uids.CTImageStorage, (0x0008002A,), 3),  # Acquisition DateTime, General Image
        (uids.EnhancedCTImageStorage, (0x0008002A,), 1),  # 1C, Enhanced CT Image
        (uids.CTImageStorage, (0x00181000,), 3),  # Device Serial Number, General Equipment
        (uids.EnhancedCTImageStorage, (0x00181000,), 1),  # Enhanced General Equipment
        (uids.EnhancedCTImageStorage, (0x52009230, 0x00209111, 0x00189074), 1),  # 1C, Frame Content Macro
        (uids.EnhancedCTImageStorage, (0x52009229, 0x00209111, 0x00189074), 1),
        (uids.RTStructureSetStorage, (0x30060020, 0x30060026), 2),  # ROI Name
        (uids.DigitalXRayImageStorageForPresentation, (0x00200020,), 1),  # 1 in DX Image, 2 in General Image
        (
            uids.EnhancedXAImageStorage,
            (0x00080070,),
            1,
        ),  # 1 in Enhanced General Equipment, 2 in General Equipment
        (uids.CTImageStorage, (0x00280010,), 3),  # Rows: its type decides nothing, so the table leaves it out
    ],
)
def test_types_are_those_of_the_iod(sop_class_uid: str, path: tuple[int, ...], attribute_type: int) -> None:
    # PS3.3 Annex A and C, nested attributes and functional group macros included; 1C counts as 1.
    node = iod_types(sop_class_uid)
    for tag in path:
        node = node.child(tag)
    assert node.attribute_type == AttributeType(attribute_type)


def test_an_unknown_sop_class_has_no_types() -> None:
    # Then every attribute is optional, and the stricter choice of every combined code is taken.
    assert not is_known("1.2.3")
    assert iod_types("1.2.3").child(0x00080020) is UNKNOWN
