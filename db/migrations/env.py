"""What alembic runs to run the migrations; it gets its connection from `db.migrations.upgrade`."""

from __future__ import annotations

from alembic import context

from db.migrations import VERSION_TABLE
from db.schema import metadata


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    # The job engine keeps its tables in the same file.
    return kind != "table" or name in metadata.tables


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=_is_ours,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
