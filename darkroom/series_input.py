"""One closed revision of a series, read for a processor: its headers, its instances, its identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
from pydicom.errors import InvalidDicomError

from darkroom.key_file import read_key
from processing.deidentify import hold_reasons
from processing.errors import HeaderError
from processing.findings import Finding, FindingCode, failure_finding
from processing.frames import read_header
from processing.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.settings import Settings
    from db.records import StoredInstance
    from db.store import Store
    from processing.frames import FrameHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInput:
    """What a processor works on.

    Every instance of the revision is in `headers` or named by a finding.
    """

    store: Store
    study_instance_uid: str
    instances: Mapping[str, StoredInstance]
    """Those that may leave, by SOP Instance UID and in the order of the UIDs: the order of arrival changes nothing."""
    headers: tuple[FrameHeader, ...]
    """Those that can be understood as images."""
    findings: tuple[Finding, ...]
    """Why the others are missing in one of them or in both."""
    pseudonyms: Pseudonyms | None
    """None: the export keeps the identity."""

    def read(self, header: FrameHeader) -> pydicom.Dataset:
        """Return an image's whole data set, pixels with it."""
        return self.read_dataset(header.sop_instance_uid)

    def read_dataset(self, sop_instance_uid: str, *, pixels: bool = True) -> pydicom.Dataset:
        """Return the data set of one instance, with or without its pixels.

        Raises
        ------
        HeaderError
            If it cannot be read.
        """
        return _read(self.store, self.instances[sop_instance_uid], pixels=pixels)

    def exported_uid(self, uid: str) -> str:
        """Return the UID as the export names it."""
        return uid if self.pseudonyms is None else self.pseudonyms.uid(uid)


def read_series(
    instances: Sequence[StoredInstance], store: Store, settings: Settings, *, deidentify: bool
) -> SeriesInput:
    """Read the headers of a revision's instances, and leave out what cannot be read or must not leave.

    Raises
    ------
    KeyFileError
        If the export is de-identified and there is no key.
    StoredFileError
        If a stored file is missing.
    """
    usable: dict[str, StoredInstance] = {}
    headers: list[FrameHeader] = []
    findings: list[Finding] = []
    for instance in sorted(instances, key=lambda each: each.sop_instance_uid):
        try:
            dataset = _read(store, instance, pixels=False)
            held = hold_reasons(dataset) if deidentify else ()
            findings.extend(held)
            if not held:
                usable[instance.sop_instance_uid] = instance
                headers.append(read_header(dataset, has_pixel_data=instance.has_pixel_data))
        except HeaderError as error:
            findings.append(failure_finding(error, code=FindingCode.BAD_HEADER))
    return SeriesInput(
        store=store,
        study_instance_uid=instances[0].study_instance_uid,
        instances=usable,
        headers=tuple(headers),
        findings=tuple(findings),
        pseudonyms=Pseudonyms(read_key(settings.key_file)) if deidentify else None,
    )


def _read(store: Store, instance: StoredInstance, *, pixels: bool) -> pydicom.Dataset:
    with store.open(instance.file.key) as file:
        try:
            return pydicom.dcmread(file, stop_before_pixels=not pixels)
        except (InvalidDicomError, EOFError, ValueError, NotImplementedError) as error:
            # What pydicom says may hold values; the kind of error is enough to find the cause.
            raise HeaderError(
                f"The data set cannot be read: {type(error).__name__}.",
                sop_instance_uids=(instance.sop_instance_uid,),
            ) from error
