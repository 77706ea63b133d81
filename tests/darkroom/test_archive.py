"""The archive: made where it is to be written, only opened where it is read, received into by one node."""

from __future__ import annotations

import pytest

from config.settings import Settings, Storage
from darkroom.archive import make_archive, open_archive, sole_node
from darkroom.errors import DataFolderError, KeyFileError, NoArchiveError, NodeRunningError


def test_opening_makes_nothing(tmp_path):
    """A mistyped folder is refused with a hint, and stays empty."""
    settings = Settings(storage=Storage(folder=tmp_path / "typo"))
    with pytest.raises(NoArchiveError) as refused, open_archive(settings):
        pass
    assert "storage.folder" in refused.value.hint
    assert not (tmp_path / "typo").exists()


def test_made_twice_is_made_once(tmp_path):
    """Making an archive that is there leaves it as it is."""
    settings = Settings(storage=Storage(folder=tmp_path / "data"))
    make_archive(settings)
    with open_archive(settings) as archive:
        archive.index.open_association("A", "B", "127.0.0.1", 1.0)
    make_archive(settings)
    with open_archive(settings) as archive:
        assert archive.ledger.entries() == []


def test_second_node_is_refused(tmp_path):
    """While one node holds the folder another is refused; afterwards it is free."""
    with sole_node(tmp_path), pytest.raises(NodeRunningError), sole_node(tmp_path):
        pass
    with sole_node(tmp_path):
        pass


def test_data_folder_that_cannot_be_made_is_named_by_its_setting(tmp_path):
    """A folder below a plain file cannot be made: the operator is told which setting to look at."""
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError) as refused, sole_node(tmp_path / "file" / "data"):
        pytest.fail("the folder cannot be there")
    assert "storage.folder" in refused.value.hint


def test_archive_that_lost_its_key_is_refused(tmp_path):
    """A new key would silently give known patients new pseudonyms: the operator is told to restore it."""
    settings = Settings(storage=Storage(folder=tmp_path / "data"))
    make_archive(settings)
    settings.key_file.unlink()
    with pytest.raises(KeyFileError) as refused:
        make_archive(settings)
    assert "Restore" in refused.value.hint
    assert not settings.key_file.exists()
