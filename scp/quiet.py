"""pynetdicom's own log and checks, kept from telling and deciding too much."""

from __future__ import annotations

import logging

import structlog
from pynetdicom import _config

_log = structlog.get_logger(__name__)


def quiet_pynetdicom() -> None:
    """Keep outside text out of pynetdicom's log, and its checks from ending associations that deserve a status.

    Its messages may carry identifiers, AE titles and whatever else came from the network. What is left of them is
    where in its source they were written.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    # db.identity.check_uid decides on UIDs, and a C-STORE with a bad one is answered; here it would be aborted.
    _config.VALIDATORS["UI"] = lambda _: (True, "")
    logger = logging.getLogger("pynetdicom")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.handlers = [_PlaceHandler()]


class _PlaceHandler(logging.Handler):
    """Logs where pynetdicom complained, not what it said."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record without its text."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        _log.debug("pynetdicom complained", place=f"{record.module}:{record.lineno}", error=error)
