"""The key of the pseudonyms: made once, private, never replaced."""

from __future__ import annotations

import pytest

from darkroom.errors import KeyFileError
from darkroom.key_file import ensure_key, read_key


def test_key_is_made_once_and_stays(tmp_path):
    """A second call, as after a restart, keeps the key and leaves no draft."""
    path = tmp_path / "secrets" / "key"
    ensure_key(path)
    key = read_key(path)
    ensure_key(path)
    assert read_key(path) == key
    assert len(key) == 32
    assert [each.name for each in path.parent.iterdir()] == ["key"]


def test_two_folders_have_two_keys(tmp_path):
    """Keys are random: another archive's pseudonyms cannot be linked with this one's."""
    ensure_key(tmp_path / "a")
    ensure_key(tmp_path / "b")
    assert read_key(tmp_path / "a") != read_key(tmp_path / "b")


@pytest.mark.parametrize(
    ("content", "mode", "said"), [(b"short", 0o600, "5 bytes"), (bytes(32), 0o640, "other users")]
)
def test_unfit_key_is_refused(tmp_path, content, mode, said):
    """A key of another length, or one that others may read, is refused with the reason."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=said):
        read_key(path)


def test_absent_key_is_refused_with_a_hint(tmp_path):
    """Without a key nothing is de-identified, and the operator is told what a new one would mean."""
    with pytest.raises(KeyFileError) as refused:
        read_key(tmp_path / "key")
    assert "backup" in refused.value.hint
