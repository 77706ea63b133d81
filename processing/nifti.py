"""Volumes to NIfTI-1: the only place where LPS becomes RAS, and the only one that imports nibabel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel
import numpy as np
from isal import isal_zlib
from nibabel.spatialimages import HeaderDataError

from processing.errors import OutputError
from processing.planning import LARGEST_TILT_DEGREES

if TYPE_CHECKING:
    from processing.volume import Volume

DESCRIPTION = b"Darkroom"
SCANNER_COORDINATES = 1  # NIFTI_XFORM_SCANNER_ANAT
UNKNOWN_COORDINATES = 0
FASTEST = 1  # igzip's level 1 is a quarter larger than gzip's best and 30 times as fast
_GZIP_WINDOW = 31  # zlib's way to ask for a gzip member; igzip writes it without name and time
_NO_EXTENSION = b"\0\0\0\0"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def encode_nifti(volume: Volume) -> bytes:
    """Return a volume as the bytes of a ``.nii.gz`` file, the same bytes for the same volume.

    Voxels keep DICOM's order, axes (x, y, z) = (columns, rows, slices); the affine says where they are. A
    sheared volume has no qform (code 0): quaternions cannot describe it.

    Raises
    ------
    OutputError
        If NIfTI-1 cannot hold the volume (more than 32767 voxels along an axis, a type it lacks).

    Source
    ------
    NIfTI-1.1, nifti1.h; PS3.3 C.7.6.2.1.1 for LPS.
    """
    compressor = isal_zlib.compressobj(FASTEST, isal_zlib.DEFLATED, _GZIP_WINDOW)
    parts = [compressor.compress(_header_bytes(volume) + _NO_EXTENSION)]
    little_endian = volume.values.dtype.newbyteorder("<")
    parts += [  # (rows, columns) in C order is (x, y) in Fortran order, as NIfTI wants it
        compressor.compress(np.ascontiguousarray(plane, dtype=little_endian).data) for plane in volume.values
    ]
    parts.append(compressor.flush())
    return b"".join(parts)


def _header_bytes(volume: Volume) -> bytes:
    slices, rows, columns = volume.values.shape
    affine_ras = _LPS_TO_RAS @ volume.affine_lps
    sheared = volume.plan.grid.tilt_degrees > LARGEST_TILT_DEGREES
    header = nibabel.Nifti1Header(endianness="<")
    try:
        header.set_data_dtype(volume.values.dtype)
        header.set_data_shape((columns, rows, slices))
    except HeaderDataError as error:
        raise OutputError(
            f"NIfTI-1 cannot hold {columns} x {rows} x {slices} voxels of {volume.values.dtype}.",
            sop_instance_uids=volume.plan.sop_instance_uids,
        ) from error
    header.set_sform(affine_ras, code=SCANNER_COORDINATES)
    header.set_qform(affine_ras, code=UNKNOWN_COORDINATES if sheared else SCANNER_COORDINATES)
    header.set_slope_inter(volume.scale_slope, volume.scale_intercept)
    header.set_xyzt_units("mm")
    header["descrip"] = DESCRIPTION
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    return bytes(header.binaryblock)
