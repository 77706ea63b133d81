"""Signs of life for the service manager, by the protocol of sd_notify(3).

A message is one datagram to the socket that ``NOTIFY_SOCKET`` names; without one, nothing is sent.
"""

from __future__ import annotations

import os
import socket

_WITHOUT_WATCHDOG_S = 10.0


class Notifier:
    """Tells the service manager how the node is.

    A watchdog is told of only while the caller finds the node alive: a node that hangs is restarted.

    Attributes
    ----------
    interval_s
        How often to call `watchdog`, in seconds: a third of the time the service manager allows.
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self.interval_s = _watchdog_s() / 3 or _WITHOUT_WATCHDOG_S

    def ready(self, status: str = "") -> None:
        """Say that associations are accepted, with a sentence for ``systemctl status``."""
        self._send("READY=1", status)

    def status(self, status: str) -> None:
        """Change the sentence that ``systemctl status`` shows."""
        self._send("", status)

    def watchdog(self) -> None:
        """Say that the node is alive."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the node is about to stop."""
        self._send("STOPPING=1")

    def _send(self, assignment: str, status: str = "") -> None:
        if not self._address:
            return
        message = "\n".join(filter(None, (assignment, status and f"STATUS={' '.join(status.split())}")))
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(1.0)
            try:
                sender.sendto(message.encode(), address)
            except OSError:
                return  # a manager that cannot be told must not stop the node; its watchdog will notice


def _watchdog_s() -> float:
    """Return how long the service manager waits for a sign of life, in seconds; 0 where it does not."""
    text = os.environ.get("WATCHDOG_USEC", "")
    for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(text) / 1e6 if text.isdecimal() and for_us else 0.0
