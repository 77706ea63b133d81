"""What can go wrong with what persists.

::

    DbError
    ├── StoreError               a file could not be written, read or found
    │   ├── DiskFullError        no space left; nothing of the instance was kept
    │   └── StoredFileError      a stored file is missing or its bytes changed
    ├── MalformedDatasetError    the bytes are not a data set that can be indexed
    ├── IdentityError            a UID from the outside is not a UID
    ├── QueryError               a query cannot be understood
    └── IndexStateError          the index cannot do what was asked (unknown job, newer schema, ...)

Messages carry UIDs that were checked, numbers and reasons; never names, dates or free text of a patient.
"""

from __future__ import annotations


class DbError(Exception):
    """Root of everything this package raises.

    Attributes
    ----------
    hint
        What the operator can do about it; empty where there is nothing.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class StoreError(DbError):
    """A file could not be written, read or found.

    Attributes
    ----------
    errno
        What the operating system said (see the module `errno`), or None where it said nothing.
    """

    def __init__(self, message: str, *, errno: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errno = errno


class DiskFullError(StoreError):
    """There is no space left; nothing of the instance was kept."""


class StoredFileError(StoreError):
    """A stored file is missing, or its bytes are not the ones that were acknowledged."""


class MalformedDatasetError(DbError):
    """The bytes are not a data set that can be read and indexed.

    Attributes
    ----------
    offset
        Where in the data set the reader stopped, in bytes.
    """

    def __init__(self, message: str, *, offset: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


class IdentityError(DbError):
    """A UID from the outside is not a valid UID (PS3.5 section 9.1)."""


class QueryError(DbError):
    """A query cannot be understood.

    Attributes
    ----------
    tag
        The offending element as ``(gggg,eeee)``, or empty.
    """

    def __init__(self, message: str, *, tag: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.tag = tag


class IndexStateError(DbError):
    """The index cannot do what was asked of it in its present state."""
