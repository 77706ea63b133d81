"""The node: every part wired, started, watched and stopped."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import structlog

from darkroom.archive import make_archive, open_archive, sole_node
from darkroom.health import Notifier
from darkroom.intake import Intake, IntakeThread, completion_rule
from darkroom.routes import read_routes
from darkroom.worker import WorkerProcess
from scp.server import Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings

_log = structlog.get_logger(__name__)

SILENCE_S = 60.0
"""An intake that has not looked for this long is taken for dead."""


def run_node(settings: Settings, *, ready: Callable[[tuple[str, int]], None] | None = None) -> int:
    """Run the node until SIGTERM or SIGINT and return the exit code.

    Parameters
    ----------
    settings
        Checked settings.
    ready
        Called once with address and port when the node accepts associations.

    Raises
    ------
    NodeRunningError
        If another node receives into the same folder.
    RouteError
        If a route's matching value cannot be understood.
    OSError
        If the port cannot be bound.
    """
    stopping = _stop_on_signals()
    with ExitStack() as stack:
        router = read_routes(settings.routes)
        stack.enter_context(sole_node(settings.data_folder))
        make_archive(settings)
        archive = stack.enter_context(open_archive(settings))
        archive.index.lose_open_associations(time.time())

        # Stopped in reverse: first the port, so that nothing new comes, then the intake, then the worker.
        worker = WorkerProcess(settings)
        stack.callback(worker.stop)
        worker.start()
        intake = IntakeThread(
            Intake(
                ledger=archive.ledger,
                queue=archive.queue,
                router=router,
                rule=completion_rule(settings.completion),
            ),
            look_every_s=settings.completion.look_every_s,
        )
        stack.callback(intake.stop)
        intake.start()
        node = Node(settings, store=archive.store, index=archive.index, engines=archive.engines)
        stack.callback(node.stop, settings.network.shutdown_grace_s)
        node.start()

        notifier = Notifier()
        notifier.ready()
        _log.info("node ready", host=node.address[0], port=node.address[1], ae_title=settings.node.ae_title)
        if ready is not None:
            ready(node.address)
        _watch(stopping, notifier, alive=lambda: intake.silent_s() < SILENCE_S and node.is_alive())
        notifier.stopping()
        _log.info("node stopping")
    _log.info("node stopped")
    return 0


def _watch(stopping: threading.Event, notifier: Notifier, *, alive: Callable[[], bool]) -> None:
    """Tell the service manager that the node is alive, for as long as it is, until it is to stop."""
    while not stopping.wait(notifier.interval_s):
        if alive():
            notifier.watchdog()


def _stop_on_signals() -> threading.Event:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping
