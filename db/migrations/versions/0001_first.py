"""The first schema of the index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_association()
    _create_patient()
    _create_study()
    _create_series()
    _create_instance()
    _create_revision()
    _create_conflict()
    _create_job()
    _create_output()
    _create_output_instance()


def _create_association() -> None:
    op.create_table(
        "association",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calling_ae_title", sa.String(), server_default="", nullable=False),
        sa.Column("called_ae_title", sa.String(), server_default="", nullable=False),
        sa.Column("address", sa.String(), server_default="", nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_association")),
    )
    op.create_index("ix_association_closed_at", "association", ["closed_at"], unique=False)


def _create_patient() -> None:
    op.create_table(
        "patient",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("identity_key", sa.String(), nullable=False),
        sa.Column("patient_id", sa.String(), server_default="", nullable=False),
        sa.Column("issuer_of_patient_id", sa.String(), server_default="", nullable=False),
        sa.Column("patient_name", sa.String(), server_default="", nullable=False),
        sa.Column("patient_name_folded", sa.String(), server_default="", nullable=False),
        sa.Column("patient_birth_date", sa.String(), server_default="", nullable=False),
        sa.Column("patient_sex", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient")),
        sa.UniqueConstraint("identity_key", name=op.f("uq_patient_identity_key")),
    )
    op.create_index("ix_patient_patient_id", "patient", ["patient_id", "issuer_of_patient_id"], unique=False)
    op.create_index("ix_patient_patient_name_folded", "patient", ["patient_name_folded"], unique=False)


def _create_study() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_fk", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(), nullable=False),
        sa.Column("study_date", sa.String(), server_default="", nullable=False),
        sa.Column("study_time", sa.String(), server_default="", nullable=False),
        sa.Column("accession_number", sa.String(), server_default="", nullable=False),
        sa.Column("study_id", sa.String(), server_default="", nullable=False),
        sa.Column("study_description", sa.String(), server_default="", nullable=False),
        sa.Column("referring_physician_name", sa.String(), server_default="", nullable=False),
        sa.Column("referring_physician_name_folded", sa.String(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["patient_fk"], ["patient.id"], name=op.f("fk_study_patient_fk_patient")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
        sa.UniqueConstraint(
            "study_instance_uid", "patient_fk", name=op.f("uq_study_study_instance_uid_patient_fk")
        ),
    )
    op.create_index("ix_study_accession_number", "study", ["accession_number"], unique=False)
    op.create_index("ix_study_patient_fk", "study", ["patient_fk"], unique=False)
    op.create_index("ix_study_study_date", "study", ["study_date", "study_time"], unique=False)


def _create_series() -> None:
    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_fk", sa.Integer(), nullable=False),
        sa.Column("series_instance_uid", sa.String(), nullable=False),
        sa.Column("modality", sa.String(), server_default="", nullable=False),
        sa.Column("series_number", sa.Integer(), nullable=True),
        sa.Column("series_description", sa.String(), server_default="", nullable=False),
        sa.Column("series_date", sa.String(), server_default="", nullable=False),
        sa.Column("series_time", sa.String(), server_default="", nullable=False),
        sa.Column("body_part_examined", sa.String(), server_default="", nullable=False),
        sa.Column("protocol_name", sa.String(), server_default="", nullable=False),
        sa.Column("manufacturer", sa.String(), server_default="", nullable=False),
        sa.Column("station_name", sa.String(), server_default="", nullable=False),
        sa.Column("state", sa.String(), server_default="receiving", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("instance_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("conflict_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_arrival_at", sa.Float(), nullable=False),
        sa.Column("look_at", sa.Float(), nullable=True),
        sa.Column("change_count", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "state IN ('receiving', 'complete', 'incomplete', 'forced')", name=op.f("ck_series_state")
        ),
        sa.ForeignKeyConstraint(["study_fk"], ["study.id"], name=op.f("fk_series_study_fk_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint(
            "series_instance_uid", "study_fk", name=op.f("uq_series_series_instance_uid_study_fk")
        ),
    )
    op.create_index("ix_series_look_at", "series", ["look_at"], unique=False)
    op.create_index("ix_series_modality", "series", ["modality"], unique=False)
    op.create_index("ix_series_study_fk", "series", ["study_fk"], unique=False)


def _create_instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("series_fk", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(), nullable=False),
        sa.Column("sop_class_uid", sa.String(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(), nullable=False),
        sa.Column("instance_number", sa.Integer(), nullable=True),
        sa.Column("content_date", sa.String(), server_default="", nullable=False),
        sa.Column("content_time", sa.String(), server_default="", nullable=False),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("columns", sa.Integer(), nullable=True),
        sa.Column("bits_allocated", sa.Integer(), nullable=True),
        sa.Column("number_of_frames", sa.Integer(), nullable=True),
        sa.Column("position_lps", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("orientation_lps", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("expected_count", sa.Integer(), nullable=True),
        sa.Column("has_pixel_data", sa.Boolean(), nullable=False),
        sa.Column("file_key", sa.String(), nullable=False),
        sa.Column("dataset_sha256", sa.String(), nullable=False),
        sa.Column("dataset_offset", sa.Integer(), nullable=False),
        sa.Column("dataset_bytes", sa.Integer(), nullable=False),
        sa.Column("association_fk", sa.Integer(), nullable=True),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["association_fk"], ["association.id"], name=op.f("fk_instance_association_fk_association")
        ),
        sa.ForeignKeyConstraint(["series_fk"], ["series.id"], name=op.f("fk_instance_series_fk_series")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_instance_sop_instance_uid")),
    )
    op.create_index("ix_instance_association_fk", "instance", ["association_fk", "series_fk"], unique=False)
    op.create_index("ix_instance_series_fk", "instance", ["series_fk", "instance_number"], unique=False)


def _create_revision() -> None:
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("series_fk", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("last_instance_id", sa.Integer(), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=False),
        sa.CheckConstraint("state IN ('complete', 'incomplete', 'forced')", name=op.f("ck_revision_state")),
        sa.ForeignKeyConstraint(["series_fk"], ["series.id"], name=op.f("fk_revision_series_fk_series")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
        sa.UniqueConstraint("series_fk", "number", name=op.f("uq_revision_series_fk_number")),
    )


def _create_conflict() -> None:
    op.create_table(
        "conflict",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instance_fk", sa.Integer(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(), nullable=False),
        sa.Column("dataset_sha256", sa.String(), nullable=False),
        sa.Column("association_fk", sa.Integer(), nullable=True),
        sa.Column("refused_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["association_fk"], ["association.id"], name=op.f("fk_conflict_association_fk_association")
        ),
        sa.ForeignKeyConstraint(
            ["instance_fk"], ["instance.id"], name=op.f("fk_conflict_instance_fk_instance")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflict")),
    )
    op.create_index("ix_conflict_instance_fk", "conflict", ["instance_fk"], unique=False)


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("revision_fk", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("processor", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), server_default="queued", nullable=False),
        sa.Column("round", sa.Integer(), server_default="1", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("queued_at", sa.Float(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("error", sa.String(), server_default="", nullable=False),
        sa.Column("hint", sa.String(), server_default="", nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name=op.f("ck_job_state")),
        sa.ForeignKeyConstraint(["revision_fk"], ["revision.id"], name=op.f("fk_job_revision_fk_revision")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint(
            "revision_fk", "route", "processor", name=op.f("uq_job_revision_fk_route_processor")
        ),
    )
    op.create_index("ix_job_state", "job", ["state"], unique=False)


def _create_output() -> None:
    op.create_table(
        "output",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_fk", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["job_fk"], ["job.id"], name=op.f("fk_output_job_fk_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_output")),
        sa.UniqueConstraint("path", name=op.f("uq_output_path")),
    )
    op.create_index("ix_output_job_fk", "output", ["job_fk"], unique=False)


def _create_output_instance() -> None:
    op.create_table(
        "output_instance",
        sa.Column("output_fk", sa.Integer(), nullable=False),
        sa.Column("instance_fk", sa.Integer(), nullable=False),
        sa.Column("output_uid", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_fk"], ["instance.id"], name=op.f("fk_output_instance_instance_fk_instance")
        ),
        sa.ForeignKeyConstraint(
            ["output_fk"], ["output.id"], name=op.f("fk_output_instance_output_fk_output")
        ),
        sa.PrimaryKeyConstraint("output_fk", "instance_fk", name=op.f("pk_output_instance")),
    )
    op.create_index("ix_output_instance_instance_fk", "output_instance", ["instance_fk"], unique=False)
