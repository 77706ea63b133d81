"""What can go wrong on the DICOM network.

::

    ScpError
    ├── RequestError               a request of a peer that the node does not perform
    │   ├── NotAuthorisedError     the peer lacks the right
    │   ├── SopClassError          the presentation context does not carry this service
    │   ├── IncompleteRequestError a mandatory field of the command is missing
    │   ├── MismatchError          the data set is another instance than the command says
    │   ├── ConflictError          the SOP Instance UID is taken by other bytes
    │   ├── LowDiskError           less space is free than must be left alone
    │   └── DestinationError       the destination of a C-MOVE is not a configured peer
    └── PeerError                  a peer that we call does not do what we ask
        ├── AssociationError       it cannot be reached, rejects or breaks the association
        ├── ContextError           it accepted no presentation context that fits
        └── ResponseError          it answered with a failure status

Messages carry UIDs that were checked, numbers and reasons; never names, dates or free text of a patient, and
nothing that a peer wrote unless it was cut to printable ASCII.
"""

from __future__ import annotations


class ScpError(Exception):
    """Root of everything this package raises.

    Attributes
    ----------
    hint
        What the operator can do about it; empty where there is nothing.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RequestError(ScpError):
    """A request of a peer that the node does not perform."""


class NotAuthorisedError(RequestError):
    """The peer lacks the right."""


class SopClassError(RequestError):
    """The presentation context does not carry this service."""


class IncompleteRequestError(RequestError):
    """A mandatory field of the command is missing."""


class MismatchError(RequestError):
    """The data set is another instance than the command says."""


class ConflictError(RequestError):
    """The SOP Instance UID is taken by other bytes."""


class LowDiskError(RequestError):
    """Less space is free than must be left alone."""


class DestinationError(RequestError):
    """The destination of a C-MOVE is not a configured peer that can be called."""


class PeerError(ScpError):
    """A peer that we call does not do what we ask."""


class AssociationError(PeerError):
    """The peer cannot be reached, rejects or breaks the association."""


class ContextError(PeerError):
    """The peer accepted no presentation context that fits."""


class ResponseError(PeerError):
    """The peer answered with a failure status.

    Attributes
    ----------
    code
        The status, or None where no valid response came.
    """

    def __init__(self, message: str, *, code: int | None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
