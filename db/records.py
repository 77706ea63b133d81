"""The frozen values that cross the border of the index.

Text is decoded Unicode. Dates and times are DICOM's own forms (``YYYYMMDD``, ``HHMMSS.FFFFFF``).
Moments are seconds since the epoch, UTC. Absent values are empty strings or ``None``, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """The levels of the query/retrieve information model (PS3.4 C.6)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


class SeriesState(StrEnum):
    """How far a series has come."""

    RECEIVING = "receiving"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    FORCED = "forced"


class JobState(StrEnum):
    """How far a job has come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class AssociationOutcome(StrEnum):
    """How an association ended."""

    RELEASED = "released"
    ABORTED = "aborted"
    LOST = "lost"  # the node died or the connection broke


class Registration(StrEnum):
    """What the index said to a new instance."""

    NEW = "new"
    SAME = "same"  # the same UID with the same bytes: acknowledge again
    CONFLICT = "conflict"  # the same UID with other bytes: refuse, and the conflict is recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRecord:
    """The patient level of one instance's header."""

    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """The study level of one instance's header."""

    study_instance_uid: str
    study_date: str = ""
    study_time: str = ""
    accession_number: str = ""
    study_id: str = ""
    study_description: str = ""
    referring_physician_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRecord:
    """The series level of one instance's header."""

    series_instance_uid: str
    modality: str = ""
    series_number: int | None = None
    series_description: str = ""
    series_date: str = ""
    series_time: str = ""
    body_part_examined: str = ""
    protocol_name: str = ""
    manufacturer: str = ""
    station_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecord:
    """What the index keeps of one data set, read from its bytes alone."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    patient: PatientRecord
    study: StudyRecord
    series: SeriesRecord
    instance_number: int | None = None
    content_date: str = ""
    content_time: str = ""
    rows: int | None = None
    columns: int | None = None
    bits_allocated: int | None = None
    number_of_frames: int | None = None
    position_lps: tuple[float, float, float] | None = None
    """Image Position (Patient), mm."""
    orientation_lps: tuple[float, float, float, float, float, float] | None = None
    """Image Orientation (Patient), row cosines then column cosines."""
    expected_count: int | None = None
    """How many instances the header says its series has (see db.header.describe), or None."""
    has_pixel_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """Where a data set lies in the store, and what its bytes are."""

    key: str
    """The file's name in the store, 64 hexadecimal digits made by us."""
    dataset_sha256: str
    dataset_offset: int
    """Bytes of preamble and file meta information before the data set."""
    dataset_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """One instance as retrieval, verification and processing need it."""

    instance_id: int
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    file: StoredFile
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    has_pixel_data: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """What is known of a series that is still receiving: the evidence for its completeness."""

    series_id: int
    series_instance_uid: str
    modality: str
    instance_count: int
    expected_count: int | None
    """The largest count that a header of the series gives, or None."""
    open_associations: int
    """Associations that sent to this series and are still open."""
    broken_associations: int
    """Associations that sent to this series and ended without release, since the last closed revision."""
    last_arrival_at: float
    last_release_at: float | None
    """When the last of its associations ended, or None while none has."""
    geometry: tuple[InstanceGeometry, ...] = ()
    change_count: int = 0
    """Grows with each event that the intake has to see; facts with an older count are stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceGeometry:
    """Position and orientation of one instance."""

    sop_instance_uid: str
    position_lps: tuple[float, float, float] | None
    orientation_lps: tuple[float, float, float, float, float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of the ledger: a series, its state and the evidence of its last revision."""

    series_id: int
    series_instance_uid: str
    study_instance_uid: str
    modality: str
    state: SeriesState
    revision: int
    """The revision last closed; 0 while none was."""
    instance_count: int
    conflict_count: int
    reasons: tuple[str, ...]
    last_arrival_at: float
    jobs: tuple[JobRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job to be queued for a series' revision."""

    route: str
    processor: str
    parameters: dict[str, object] = field(default_factory=dict)
    """JSON values; what is needed to run the job again byte for byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRecord:
    """Something true about the input that the operator should know; it does not stop the work."""

    code: str
    message: str
    sop_instance_uids: tuple[str, ...] = ()
    details: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecord:
    """One published file."""

    path: str
    """Relative to the export folder."""
    kind: str
    """``nifti``, ``sidecar``, ``png``, ``dicom``, ``report``."""
    sha256: str
    size_bytes: int
    inputs: tuple[tuple[str, str], ...] = ()
    """(SOP Instance UID in the store, SOP Instance UID as the output names it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One job as the operator sees it."""

    job_id: str
    series_id: int
    series_instance_uid: str
    revision: int
    route: str
    processor: str
    parameters: dict[str, object]
    state: JobState
    tries: int
    queued_at: float
    started_at: float | None = None
    finished_at: float | None = None
    error: str = ""
    hint: str = ""
    findings: tuple[FindingRecord, ...] = ()
    outputs: tuple[OutputRecord, ...] = ()
