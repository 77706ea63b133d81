"""Run the migrations, without a configuration file and without a word in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

from db.migrations import read_revision, refuse_unknown_revision

if TYPE_CHECKING:
    from sqlalchemy import Connection


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables to `revision` inside the transaction of `connection`.

    The connection must not enforce foreign keys (see `db.engine`), and its caller checks them afterwards.

    Raises
    ------
    IndexStateError
        If a newer version of the node wrote the index.
    """
    refuse_unknown_revision(read_revision(connection))
    command.upgrade(make_configuration(connection), revision)


def make_configuration(connection: Connection) -> Config:
    """Return what alembic's commands need to work on `connection`."""
    configuration = Config()
    configuration.set_main_option("script_location", "db:migrations")
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["connection"] = connection
    return configuration
