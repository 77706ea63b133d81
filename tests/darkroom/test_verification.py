"""Verification: each kind of damage is found and told apart, and what is whole is not accused."""

from __future__ import annotations

import os
import time

import pytest

from darkroom.archive import open_archive
from darkroom.importer import Importer
from darkroom.verification import Damage, Verification
from tests.series_factory import ct_series


@pytest.fixture
def archive(darkroom):
    """An archive of five instances."""
    with open_archive(darkroom.settings) as archive:
        importer = Importer(archive=archive, settings=darkroom.settings)
        assert len(list(importer.run([darkroom.write(ct_series())]))) == 5
        yield archive


def _verify(archive) -> Verification:
    verification = Verification(index=archive.index, store=archive.store)
    assert list(verification.check()) == [5] * 5
    return verification


def test_a_whole_store_is_whole(archive):
    """Nothing is damaged where nothing was touched, and every byte was counted."""
    verification = _verify(archive)
    assert (verification.checked, verification.damaged, verification.orphans) == (5, [], ())
    assert verification.checked_bytes == sum(
        each.file.dataset_bytes for each in archive.index.all_instances()
    )


@pytest.mark.parametrize("offset", [0, 200, -1])
def test_one_changed_byte_is_found(archive, offset):
    """A byte of the preamble, of the head or of the pixels: whichever changed, the instance is named."""
    victim = list(archive.index.all_instances())[2]
    path = archive.store.path(victim.file.key)
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    (damaged,) = _verify(archive).damaged
    assert (damaged.damage, damaged.sop_instance_uid) == (Damage.CHANGED, victim.sop_instance_uid)
    assert damaged.series_instance_uid == victim.series_instance_uid


def test_a_missing_file_is_found(archive):
    """A file that is gone is missing, not changed."""
    victim = next(archive.index.all_instances())
    archive.store.path(victim.file.key).unlink()
    verification = Verification(index=archive.index, store=archive.store)
    list(verification.check())
    assert [each.damage for each in verification.damaged] == [Damage.MISSING]


def test_an_orphan_is_named_once_it_is_old_enough(archive):
    """A file without a row is an orphan, unless it is so young that its row may be on its way."""
    stored = archive.store.put(
        b"orphan", sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid="1.2.840.10008.1.2"
    )
    verification = Verification(index=archive.index, store=archive.store)
    list(verification.check())
    assert verification.orphans == ()
    os.utime(archive.store.path(stored.key), (time.time() - 3600,) * 2)
    list(verification.check())
    assert verification.orphans == (stored.key,)
