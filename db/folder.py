"""Folders that are still there after a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOLDER_MODE = 0o750
FILE_MODE = 0o640


def make_folder(path: Path) -> None:
    """Make the folder and those above it where they are absent, and flush what names them.

    Raises
    ------
    OSError
        If it cannot be made, or something else has its name.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    flush_folder(path.parent)


def flush_folder(path: Path) -> None:
    """Return once the names in the folder are on stable storage.

    Raises
    ------
    OSError
        If the device failed; the names may be lost.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
