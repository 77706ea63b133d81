"""The migrations of the index."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table

from db.errors import IndexStateError

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Before alembic is imported: its reports of each plug-in and step are not events of the node.
logging.getLogger("alembic").setLevel(logging.WARNING)

VERSION_TABLE = "alembic_version"

REVISIONS = ("0001",)
"""Every revision of the schema, oldest first; the last one is what `db.schema` describes."""


def read_revision(connection: Connection) -> str | None:
    """Return the revision of the index's tables, or None if there are none yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(
        select(column("version_num")).select_from(table(VERSION_TABLE))
    ).scalar_one_or_none()


def check_revision(connection: Connection) -> None:
    """Refuse an index that this code does not work on.

    Raises
    ------
    IndexStateError
        If the index is empty, has an older schema, or one that this code does not know.
    """
    revision = read_revision(connection)
    refuse_unknown_revision(revision)
    if revision != REVISIONS[-1]:
        raise IndexStateError(
            f"the index has schema {revision or 'none'}, and {REVISIONS[-1]} is needed",
            hint="start the node once; it upgrades the index",
        )


def refuse_unknown_revision(revision: str | None) -> None:
    """Refuse a revision that a newer version of the node made.

    Raises
    ------
    IndexStateError
        If this code does not know it.
    """
    if revision is not None and revision not in REVISIONS:
        raise IndexStateError(
            "the index has a newer schema than this version of the node knows",
            hint="start the version that wrote it, or restore the index from a backup of before the upgrade",
        )
