"""pynetdicom's own logging and checks, kept from telling and deciding too much."""

from __future__ import annotations

from pynetdicom import _config


def quiet_pynetdicom() -> None:
    """Turn off what pynetdicom logs of messages, and its checks that would end associations that deserve a status.

    What its modules still log is reduced to its place in the source by `darkroom.logs`.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    # db.identity.check_uid decides on UIDs, and a C-STORE with a bad one is answered; here it would be aborted.
    _config.VALIDATORS["UI"] = lambda _: (True, "")
