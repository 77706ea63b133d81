"""Where pynetdicom's thread of an association waits while another thread uses the association.

Both take messages off one queue, so the association's own thread must stand still while somebody awaits a response.
pynetdicom 3.0.4 stops it with a plain event. A thread that was woken, but did not run before the event was cleared
again, passes that event all the same. It then takes the response to the next request, which nobody gets: the request
times out, and with it everything that was to follow in the association.
"""

from __future__ import annotations

import threading

_LOOK_S = 0.05


class Checkpoint(threading.Event):
    """An event behind which nobody runs any more once `clear` has returned.

    Parameters
    ----------
    reactor
        The association's own thread, the only one that waits.
    """

    def __init__(self, reactor: threading.Thread) -> None:
        super().__init__()
        self._reactor = reactor
        self._changed = threading.Condition()
        self._is_open = False
        self._is_waiting = False

    def set(self) -> None:
        """Let the reactor run."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Stop the reactor, and return once it stands still or has ended; itself does not wait for itself."""
        with self._changed:
            self._is_open = False
            if threading.current_thread() is self._reactor:
                return
            while not self._is_waiting and self._reactor.is_alive():
                self._changed.wait(_LOOK_S)

    def is_set(self) -> bool:
        """Return whether the reactor may run."""
        return self._is_open

    def wait(self, timeout: float | None = None) -> bool:
        """Return once the reactor may run, or after `timeout` seconds, and whether it may."""
        with self._changed:
            self._is_waiting = True
            self._changed.notify_all()
            passes = self._changed.wait_for(self.is_set, timeout)
            self._is_waiting = False
            return passes
