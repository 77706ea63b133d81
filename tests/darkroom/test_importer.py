"""The importer: every file gets one fate, and what is kept is what a C-STORE would have kept."""

from __future__ import annotations

import os

import pytest

from darkroom.archive import open_archive
from darkroom.errors import LowSpaceError
from darkroom.importer import Fate, Importer, find_files
from darkroom.part10 import read_head
from tests.series_factory import ct_series, part10


@pytest.fixture
def archive(darkroom):
    with open_archive(darkroom.settings) as archive:
        yield archive


def _fates(darkroom, archive, *paths):
    importer = Importer(archive=archive, settings=darkroom.settings)
    return {taken.path.name: taken.fate for taken in importer.run(paths)}


def test_the_data_set_is_kept_byte_for_byte(darkroom, archive):
    """What is in the store is the file's data set, verbatim, and every attribute the index keeps is there."""
    dataset = ct_series()[0]
    folder = darkroom.write([dataset])
    assert _fates(darkroom, archive, folder) == {"000.dcm": Fate.STORED}
    stored = archive.index.stored(dataset.SOPInstanceUID)
    content = part10(dataset)
    assert archive.store.read_dataset(stored) == content[read_head(content).dataset_offset :]
    assert stored.series_instance_uid == dataset.SeriesInstanceUID


def test_every_file_gets_its_fate(darkroom, archive):
    """Again the same is the same; other bytes under a known UID are a conflict; damage is refused; the rest skipped."""
    datasets = ct_series()
    folder = darkroom.write(datasets[:2])
    assert set(_fates(darkroom, archive, folder).values()) == {Fate.STORED}
    datasets[0].SeriesDescription = "another"
    (folder / "000.dcm").write_bytes(part10(datasets[0]))
    (folder / "cut.dcm").write_bytes(part10(datasets[2])[:-10])
    (folder / "notes.txt").write_text("no DICOM")
    (folder / "empty").touch()
    (folder / "link.dcm").symlink_to(folder / "001.dcm")
    assert _fates(darkroom, archive, folder) == {
        "000.dcm": Fate.CONFLICT,
        "001.dcm": Fate.SAME,
        "cut.dcm": Fate.REFUSED,
        "notes.txt": Fate.SKIPPED,
        "empty": Fate.SKIPPED,
    }
    assert len(list(archive.store.keys())) == 2


def test_an_unreadable_file_does_not_end_the_import(darkroom, archive, monkeypatch):
    """A file that the system refuses is refused with the system's reason; those after it are taken."""
    folder = darkroom.write(ct_series()[:2])
    opened = type(folder).open

    def refuse(path, *arguments, **options):
        if path.name == "000.dcm":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(type(folder), "open", refuse)
    assert _fates(darkroom, archive, folder) == {"000.dcm": Fate.REFUSED, "001.dcm": Fate.STORED}


def test_an_import_ends_like_an_association(darkroom, archive):
    """Its end is evidence: nothing is open afterwards, and an end by error is no release."""
    folder = darkroom.write(ct_series()[:2])
    _fates(darkroom, archive, folder)
    (entry,) = archive.ledger.entries()
    facts = archive.ledger.facts(entry.series_id)
    assert (facts.open_associations, facts.broken_associations) == (0, 0)
    assert facts.last_release_at is not None
    running = Importer(archive=archive, settings=darkroom.settings).run(
        [darkroom.write(ct_series()[2:4], "more")]
    )
    next(running)
    running.close()
    facts = archive.ledger.facts(entry.series_id)
    assert (facts.open_associations, facts.broken_associations) == (0, 1)


def test_the_space_that_is_to_be_left_is_left(darkroom, archive):
    """An import stops before it takes the space that the settings want left alone, and stores nothing then."""
    darkroom.configure(f"free_bytes = {10**18}\n")
    with pytest.raises(LowSpaceError):
        _fates(darkroom, archive, darkroom.write(ct_series()[:1]))
    assert list(archive.store.keys()) == []


def test_a_file_larger_than_any_data_set_is_refused(darkroom, archive):
    """The limit of the network holds for files too, and is tested before the file is read."""
    folder = darkroom.write(ct_series()[:1])
    darkroom.configure("[network]\nmax_dataset_bytes = 100\n")
    assert _fates(darkroom, archive, folder) == {"000.dcm": Fate.REFUSED}


def test_files_are_found_in_order_and_only_plain_ones(tmp_path):
    """Folders are read with all folders in them, sorted; links, pipes and folders themselves are no files."""
    for name in ("b/2", "b/1", "a/3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in find_files([tmp_path, tmp_path / "a" / "3"])]
    assert found == ["a/3", "b/1", "b/2", "a/3"]
