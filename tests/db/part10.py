"""Part 10 files split into the data set and its transfer syntax, as a C-STORE would bring them."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_preamble
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
NO_INSTANCES = {
    ".gz",
    ".icc",
    ".dump",
    ".json",
    ".txt",
    ".tsv",
    ".md",
    ".py",
    ".pyc",
    ".nii",
    ".bval",
    ".bvec",
}


def instance_files(folder: Path) -> list[Path]:
    """The files below `folder` that begin as Part 10 files do."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in NO_INSTANCES)
    return [path for path in files if _magic(path) == b"DICM"]


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(128)
        return file.read(4)


def split_part10(path: Path) -> tuple[bytes, str]:
    """The data set's bytes and its transfer syntax UID."""
    data = path.read_bytes()
    file = io.BytesIO(data)
    read_preamble(file, force=False)
    meta = pydicom.filereader._read_file_meta_info(file)
    return data[file.tell() :], str(meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))


def encode(dataset: pydicom.Dataset, transfer_syntax_uid: str) -> bytes:
    """The raw data set as pydicom writes it; deflated syntaxes are left to the caller."""
    file = DicomBytesIO()
    file.is_implicit_VR = transfer_syntax_uid == ImplicitVRLittleEndian
    file.is_little_endian = transfer_syntax_uid != ExplicitVRBigEndian
    write_dataset(file, dataset)
    return bytes(file.getvalue())
