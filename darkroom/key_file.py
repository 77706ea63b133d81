"""The key of the pseudonyms: made once, kept private, never replaced."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from darkroom.errors import KeyFileError
from db.folder import flush_folder, make_folder

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32


def ensure_key(path: Path) -> None:
    """Make the key file where there is none: 32 random bytes, readable by the owner alone, on stable storage.

    Two processes may try at once; one of them wins, and both go on with its key.

    Raises
    ------
    KeyFileError
        If it cannot be written.
    """
    if path.exists():
        return
    # Not named after the process: in a container each has the same number, and a draft may outlive a crash.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        make_folder(path.parent)
        _write_private(draft, secrets.token_bytes(KEY_BYTES))
        try:
            os.link(draft, path)  # unlike a rename it never replaces another's key
        except FileExistsError:
            return
        finally:
            draft.unlink()
        flush_folder(path.parent)
    except OSError as error:
        raise KeyFileError(
            f"The key file cannot be made: {error.strerror}.", hint="Check deidentify.key_file."
        ) from error


def read_key(path: Path) -> bytes:
    """Return the 32 bytes of the key.

    Raises
    ------
    KeyFileError
        If the file is missing, unreadable, open to others or of another length.
    """
    try:
        mode = path.stat().st_mode
        key = path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"The key file cannot be read: {error.strerror}.",
            hint=(
                "Restore it from its backup. A new key gives all patients new pseudonyms; if that is what you want,"
                " write 32 random bytes into deidentify.key_file, readable by the node alone."
            ),
        ) from error
    if mode & 0o077:
        raise KeyFileError("The key file is open to other users.", hint="chmod 600 the key file.")
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"The key file has {len(key)} bytes; {KEY_BYTES} are needed.")
    return key


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
