"""What can go wrong while images are turned into volumes, pictures and de-identified copies.

::

    ProcessingError
    ├── HeaderError               an attribute is present and cannot be what it says
    ├── GeometryError             planes do not make the grid that was planned
    ├── PixelError                pixel data cannot be decoded to what the header describes
    ├── OutputError               a value cannot be written in the output's format
    └── DeidentificationError     an instance could not be de-identified
        └── HeldError             it could, but must not leave before a person has looked at it

Messages carry UIDs, numbers, attribute names and reasons; never an attribute's value that describes a patient.
"""

from __future__ import annotations


class ProcessingError(Exception):
    """Root of everything this package raises.

    Attributes
    ----------
    hint
        What the operator can do about it; empty where there is nothing.
    sop_instance_uids
        The instances it is about; empty where that is not known.
    """

    def __init__(self, message: str, *, hint: str = "", sop_instance_uids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.hint = hint
        self.sop_instance_uids = sop_instance_uids


class HeaderError(ProcessingError):
    """An attribute is present and cannot be what it says.

    Attributes
    ----------
    keyword
        The attribute's keyword; empty where no single one is at fault.
    """

    def __init__(
        self, message: str, *, keyword: str = "", hint: str = "", sop_instance_uids: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint, sop_instance_uids=sop_instance_uids)
        self.keyword = keyword


class GeometryError(ProcessingError):
    """The planes do not make the grid that was planned."""


class PixelError(ProcessingError):
    """Pixel data cannot be decoded to what the header describes."""


class OutputError(ProcessingError):
    """A value cannot be written in the output's format."""


class DeidentificationError(ProcessingError):
    """An instance could not be de-identified."""


class HeldError(DeidentificationError):
    """The instance must not leave before a person has looked at it."""
