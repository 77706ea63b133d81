"""What a processor says of a file that it wrote."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDraft:
    """One file in a staging folder, and where it is to be published."""

    path: str
    """Relative to the export folder, with ``/``."""
    staged: str
    """Relative to the staging folder, with ``/``."""
    kind: str
    """``nifti``, ``sidecar``, ``png``, ``dicom``, ``report``."""
    inputs: tuple[tuple[str, str], ...] = ()
    """(SOP Instance UID in the store, SOP Instance UID as the output names it)."""
