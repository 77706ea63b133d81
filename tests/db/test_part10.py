"""The head of our files, read by pydicom."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pydicom
import pytest

from db.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, PREAMBLE_BYTES, encode_head

UIDS = {
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
    "sop_instance_uid": "1.2.3.45",
    "transfer_syntax_uid": "1.2.840.10008.1.2.1",
}


@pytest.mark.parametrize("sop_instance_uid", ["1.2.3", "1.2.34", "1." + "2" * 62])
def test_pydicom_reads_it(sop_instance_uid: str) -> None:
    """Another reader finds the three UIDs and ours, whatever the padding, and the data set right behind."""
    head = encode_head(**(UIDS | {"sop_instance_uid": sop_instance_uid}))
    dataset = b"\x08\x00\x60\x00CS\x02\x00CT"
    read = pydicom.dcmread(BytesIO(head + dataset))
    assert read.file_meta.MediaStorageSOPInstanceUID == sop_instance_uid
    assert read.file_meta.MediaStorageSOPClassUID == UIDS["sop_class_uid"]
    assert read.file_meta.TransferSyntaxUID == UIDS["transfer_syntax_uid"]
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert read.file_meta.FileMetaInformationVersion == b"\x00\x01"
    assert read.file_meta.FileMetaInformationGroupLength == len(head) - PREAMBLE_BYTES - 4 - 12
    assert read.Modality == "CT"


def test_it_never_changes() -> None:
    """Files are named after these bytes and rows say where they end, so they are the same in every version."""
    digest = hashlib.sha256(encode_head(**UIDS)).hexdigest()
    assert digest == "939749c017742c49254c3fd7265df30b71a0daf18ae3488aa6521a14601fd1ae"


def test_an_empty_preamble() -> None:
    """The preamble is zero: nothing of a program, a date or a peer is in front of the data set."""
    assert encode_head(**UIDS)[:PREAMBLE_BYTES] == bytes(PREAMBLE_BYTES)
