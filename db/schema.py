"""The tables of the index.

One row a patient, study, series and instance, as the headers say; beside them what the node itself did:
associations, conflicts, revisions, jobs, outputs. Constraint names are fixed, so that a migration can name them.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str) -> Column[str]:
    return Column(name, String, nullable=False, server_default="")


patient = Table(
    "patient",
    metadata,
    Column("id", Integer, primary_key=True),
    # db.identity.patient_identity_key: strangers do not merge
    Column("identity_key", String, nullable=False, unique=True),
    _text("patient_id"),
    _text("issuer_of_patient_id"),
    _text("patient_name"),
    _text("patient_name_folded"),  # db.folding.fold: case and marks removed, for matching
    _text("patient_birth_date"),
    _text("patient_sex"),
    Index("ix_patient_patient_id", "patient_id", "issuer_of_patient_id"),
    Index("ix_patient_patient_name_folded", "patient_name_folded"),
)

study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("patient_fk", ForeignKey("patient.id"), nullable=False),
    Column("study_instance_uid", String, nullable=False),
    _text("study_date"),
    _text("study_time"),
    _text("accession_number"),
    _text("study_id"),
    _text("study_description"),
    _text("referring_physician_name"),
    _text("referring_physician_name_folded"),
    # Two patients may claim one UID; merging them would show one patient's images under the other's name.
    UniqueConstraint("study_instance_uid", "patient_fk"),
    Index("ix_study_patient_fk", "patient_fk"),
    Index("ix_study_study_date", "study_date", "study_time"),
    Index("ix_study_accession_number", "accession_number"),
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_fk", ForeignKey("study.id"), nullable=False),
    Column("series_instance_uid", String, nullable=False),
    _text("modality"),
    Column("series_number", Integer),
    _text("series_description"),
    _text("series_date"),
    _text("series_time"),
    _text("body_part_examined"),
    _text("protocol_name"),
    _text("manufacturer"),
    _text("station_name"),
    # The ledger
    Column("state", String, nullable=False, server_default="receiving"),
    Column("revision", Integer, nullable=False, server_default="0"),  # the revision last closed
    Column("instance_count", Integer, nullable=False, server_default="0"),
    Column("conflict_count", Integer, nullable=False, server_default="0"),
    Column("last_arrival_at", Float, nullable=False),
    Column("look_at", Float),  # when the intake looks again; NULL once closed
    Column("change_count", Integer, nullable=False, server_default="0"),  # so that no event is overlooked
    UniqueConstraint("series_instance_uid", "study_fk"),
    CheckConstraint("state IN ('receiving', 'complete', 'incomplete', 'forced')", name="state"),
    Index("ix_series_study_fk", "study_fk"),
    Index("ix_series_modality", "modality"),
    Index("ix_series_look_at", "look_at"),
)

association = Table(
    "association",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("calling_ae_title"),
    _text("called_ae_title"),
    _text("address"),
    Column("opened_at", Float, nullable=False),
    Column("closed_at", Float),
    Column("outcome", String),  # records.AssociationOutcome; NULL while open
    Index("ix_association_closed_at", "closed_at"),
)

instance = Table(
    "instance",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("series_fk", ForeignKey("series.id"), nullable=False),
    Column("sop_instance_uid", String, nullable=False, unique=True),
    Column("sop_class_uid", String, nullable=False),
    Column("transfer_syntax_uid", String, nullable=False),
    Column("instance_number", Integer),
    _text("content_date"),
    _text("content_time"),
    Column("rows", Integer),
    Column("columns", Integer),
    Column("bits_allocated", Integer),
    Column("number_of_frames", Integer),
    Column("position_lps", JSON(none_as_null=True)),
    Column("orientation_lps", JSON(none_as_null=True)),
    Column("expected_count", Integer),
    Column("has_pixel_data", Boolean(create_constraint=False), nullable=False),
    # The file
    Column("file_key", String, nullable=False),
    Column("dataset_sha256", String, nullable=False),
    Column("dataset_offset", Integer, nullable=False),
    Column("dataset_bytes", Integer, nullable=False),
    # The arrival
    Column("association_fk", ForeignKey("association.id")),
    Column("received_at", Float, nullable=False),
    Index("ix_instance_series_fk", "series_fk", "instance_number"),
    Index("ix_instance_association_fk", "association_fk", "series_fk"),  # which series an association sent to
)

conflict = Table(
    "conflict",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("instance_fk", ForeignKey("instance.id"), nullable=False),
    # Of the refused instance; the kept one is never touched.
    Column("transfer_syntax_uid", String, nullable=False),
    Column("dataset_sha256", String, nullable=False),
    Column("association_fk", ForeignKey("association.id")),
    Column("refused_at", Float, nullable=False),
    Index("ix_conflict_instance_fk", "instance_fk"),
)

revision = Table(
    "revision",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("series_fk", ForeignKey("series.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("reasons", JSON, nullable=False),  # list of sentences
    Column("last_instance_id", Integer, nullable=False),  # it holds the series' instances up to this id
    Column("instance_count", Integer, nullable=False),
    Column("closed_at", Float, nullable=False),
    UniqueConstraint("series_fk", "number"),
    CheckConstraint("state IN ('complete', 'incomplete', 'forced')", name="state"),
)

job = Table(
    "job",
    metadata,
    Column("id", String, primary_key=True),
    Column("revision_fk", ForeignKey("revision.id"), nullable=False),
    Column("route", String, nullable=False),
    Column("processor", String, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("state", String, nullable=False, server_default="queued"),
    Column("round", Integer, nullable=False, server_default="1"),  # grows with each restart by an operator
    Column("tries", Integer, nullable=False, server_default="0"),  # within this round
    Column("queued_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    _text("error"),
    _text("hint"),
    Column("findings", JSON, nullable=False),  # list of records.FindingRecord as objects
    UniqueConstraint("revision_fk", "route", "processor"),
    CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="state"),
    Index("ix_job_state", "state"),
)

output = Table(
    "output",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_fk", ForeignKey("job.id"), nullable=False),
    Column("path", String, nullable=False, unique=True),  # relative to the export folder
    Column("kind", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Index("ix_output_job_fk", "job_fk"),
)

output_instance = Table(
    "output_instance",
    metadata,
    Column("output_fk", ForeignKey("output.id"), primary_key=True),
    Column("instance_fk", ForeignKey("instance.id"), primary_key=True),
    Column("output_uid", String, nullable=False),  # the SOP Instance UID as the output names it
    Index("ix_output_instance_instance_fk", "instance_fk"),
)
