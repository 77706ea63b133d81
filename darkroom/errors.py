"""What can go wrong in the root.

::

    DarkroomError
    ├── NoArchiveError       there is no archive in the data folder
    ├── DataFolderError      the data folder cannot be made or written
    ├── NodeRunningError     another node already receives into the data folder
    ├── KeyFileError         the key of the pseudonyms cannot be read or made
    ├── RouteError           a route's matching value cannot be understood
    ├── FileFormatError      a file from the outside is not a DICOM file that can be read
    ├── LowSpaceError        less disk space is free than must be left alone
    ├── InstallationError    another distribution owns one of our top-level names
    ├── PortError            the node cannot listen where it should
    ├── RequestError         the operator asked for something that there is not
    └── DemoError            the demonstration did not come to its end
"""

from __future__ import annotations


class DarkroomError(Exception):
    """Root of what this package raises.

    Attributes
    ----------
    hint
        What the operator can do about it; empty where there is nothing.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NoArchiveError(DarkroomError):
    """There is no archive in the data folder."""


class DataFolderError(DarkroomError):
    """The data folder cannot be made or written."""


class NodeRunningError(DarkroomError):
    """Another node already receives into the data folder."""


class KeyFileError(DarkroomError):
    """The key of the pseudonyms cannot be read or made."""


class RouteError(DarkroomError):
    """A route's matching value cannot be understood."""


class FileFormatError(DarkroomError):
    """A file from the outside is not a DICOM file that can be read."""


class LowSpaceError(DarkroomError):
    """Less disk space is free than must be left alone."""


class InstallationError(DarkroomError):
    """Another distribution owns one of our top-level names."""


class PortError(DarkroomError):
    """The node cannot listen where it should."""


class RequestError(DarkroomError):
    """The operator asked for something that there is not."""


class DemoError(DarkroomError):
    """The demonstration did not come to its end."""
