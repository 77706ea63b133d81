"""The job engine: DBOS Transact, and the only module that knows it.

A job is one row of ours. Each time it is queued, one workflow of one step is enqueued here for it; the engine says
when the step is to run, and runs it again if the worker died. The rest is `db.jobs`.

DBOS is imported by the first function that needs it: it takes 0.2 s, which reading jobs saves.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING

from sqlalchemy import URL, create_engine, event, inspect
from sqlalchemy.exc import SQLAlchemyError

from db.errors import IndexStateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

    from dbos import DBOSClient, DBOSConfig, EnqueueOptions
    from sqlalchemy import Connection, Engine

    from db.engine import Engines

_APPLICATION = "darkroom"
# The default is a hash of the source: after an upgrade the jobs of the version before would never run.
_VERSION = "1"
# Stable: the engine resumes by itself what the last worker of this name left.
_EXECUTOR = "worker"
_QUEUE = "darkroom-jobs"
_WORKFLOW = "darkroom-job"
_TABLE = "workflow_status"
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_OPEN = ["ENQUEUED", "DELAYED", "PENDING"]
_BATCH = 500


def make_tables(engines: Engines) -> None:
    """Make or upgrade the engine's tables in the index's file; not within a transaction of the same process."""
    _dbos().DBOS.migrate(engines.writer.url.render_as_string())


def open_client(engines: Engines) -> DBOSClient:
    """Return what enqueues and lists workflows, and runs none.

    Raises
    ------
    IndexStateError
        If the engine's tables are not there.
    """
    dbos = _dbos()
    with engines.read() as connection:
        missing = not inspect(connection).has_table(_TABLE)
    if missing:
        raise IndexStateError("the job queue has no tables yet", hint="start the node once; it makes them")
    client: DBOSClient = dbos.DBOSClient(
        system_database_engine=engines.writer,
        application_name=_APPLICATION,
        serializer=dbos.DBOSPortableJSONSerializer(),
        lazy=True,
    )
    return client


def send(
    client: DBOSClient, connection: Connection, *, workflow_id: str, ticket: tuple[str, float], delay_s: float
) -> None:
    """Enqueue one workflow, which hands `ticket` to the attempt, in the transaction of `connection`."""
    options: EnqueueOptions = {
        "workflow_name": _WORKFLOW,
        "queue_name": _QUEUE,
        "workflow_id": workflow_id,
        "workflow_id_reuse_policy": "reject",
        "app_version": _VERSION,
        "application_name": _APPLICATION,
        "serialization_type": _dbos().WorkflowSerializationFormat.PORTABLE,
    }
    if delay_s > 0:
        options["delay_seconds"] = delay_s
    client.enqueue_in_transaction(connection, options, *ticket)


def read_open_workflows(client: DBOSClient) -> dict[str, bool]:
    """Return the workflows that have not ended, and for each whether a worker has claimed it."""
    with _mapped_errors():
        found = client.list_workflows(status=_OPEN, app_version=_VERSION, load_input=False, load_output=False)
    return {each.workflow_id: each.status == "PENDING" for each in found}


def delete_ended_workflows(client: DBOSClient, before: float) -> int:
    """Delete the workflows that ended before a moment and return how many."""
    moment = datetime.fromtimestamp(before, UTC).isoformat()
    count = 0
    with _mapped_errors():
        while found := client.list_workflows(
            status=_ENDED, completed_before=moment, limit=_BATCH, load_input=False, load_output=False
        ):
            client.delete_workflows([each.workflow_id for each in found])
            count += len(found)
    return count


def launch(
    client: DBOSClient,
    engine: Engine,
    attempt: Callable[[str, float], None],
    *,
    concurrency: int,
    poll_s: float,
) -> Callable[[int], None]:
    """Start the engine in this process and return what shuts it down.

    Parameters
    ----------
    client
        From `open_client`.
    engine
        From `open_engine`.
    attempt
        Called with each ticket that is due, in a thread of its own.
    concurrency
        How many attempts may run at one time.
    poll_s
        How often the queue is looked at, in seconds.

    Returns
    -------
    Callable[[int], None]
        Takes how long the running attempts may go on, in seconds. No attempt begins once it was called.

    Raises
    ------
    IndexStateError
        If the engine cannot write its tables, as on a full disk; nothing of it is left running.
    """
    dbos = _dbos()
    dbos.DBOS(config=_configuration(engine))

    def run_job(job_id: str, queued_at: float) -> None:
        # One step, since a workflow's body must do nothing that a second run could do otherwise.
        dbos.DBOS.run_step({"name": "attempt"}, attempt, job_id, queued_at)

    # No limit of its own on recoveries: the attempts are counted in our row.
    dbos.DBOS.workflow(
        name=_WORKFLOW,
        max_recovery_attempts=None,
        serialization_type=dbos.WorkflowSerializationFormat.PORTABLE,
    )(run_job)
    dbos.DBOS.listen_queues([_QUEUE])
    # Before the launch, which looks for queues at once and then once a second.
    try:
        with _mapped_errors():
            client.register_queue(
                _QUEUE,
                worker_concurrency=concurrency,
                polling_interval_sec=poll_s,
                on_conflict="always_update",
            )
            dbos.DBOS.launch()
    except IndexStateError:
        dbos.DBOS.destroy(destroy_registry=True)
        raise

    def shut_down(patience_s: int) -> None:
        dbos.DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=patience_s)

    return shut_down


def open_engine(engines: Engines) -> Engine:
    """Return an engine on the same file as DBOS wants it: pysqlite's own transactions, begun as IMMEDIATE.

    Its many polls read outside any transaction, so they do not wait for the index's writer.
    """
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=engines.writer.url.database),
        connect_args={"timeout": 30.0},
        hide_parameters=True,
        pool_size=8,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("PRAGMA foreign_keys=ON", "PRAGMA synchronous=FULL"):
            connection.execute(pragma).close()

    return engine


@contextmanager
def _mapped_errors() -> Iterator[None]:
    """Turn what goes wrong outside the transactions of `Engines` into our error."""
    try:
        yield
    except SQLAlchemyError as error:
        raise IndexStateError(f"the job queue cannot be used ({type(error).__name__})") from error


def _dbos() -> ModuleType:
    """Return the library, speaking through the standard loggers only, at warning and above."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)
    if not logger.handlers:
        # Without one DBOS adds a handler of its own, which writes to the console and ends propagation.
        logger.addHandler(logging.NullHandler())
    return import_module("dbos")


def _configuration(engine: Engine) -> DBOSConfig:
    return {
        "name": _APPLICATION,
        "system_database_engine": engine,
        "application_version": _VERSION,
        "executor_id": _EXECUTOR,
        "serializer": _dbos().DBOSPortableJSONSerializer(),  # its own default is pickle
        "log_level": "WARNING",
        "enable_otlp": False,
        "notification_listener_polling_interval_sec": 0.5,  # how long it takes to stop; nobody notifies
        "scheduler_polling_interval_sec": 3600.0,  # there are no schedules
    }
