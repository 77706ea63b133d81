"""Outputs on their way out: whole or not at all, under their own names only, and the same when made again."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from darkroom.outputs import OutputDraft
from darkroom.publish import STAGING, check_drafts, clear_staging, make_staging, publish
from db.jobs import JobError

DRAFT = OutputDraft(
    path="series/1/volume.nii.gz", staged="volume.nii.gz", kind="nifti", inputs=(("1.2", "2.25.1"),)
)


def write(staging: Path, name: str = "volume.nii.gz", content: bytes = b"content") -> Path:
    path = staging / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_file_is_moved_to_its_final_name(tmp_path: Path) -> None:
    """The record says what the published bytes are; the staging folder gave them away."""
    staging = make_staging(tmp_path, "job")
    write(staging)
    (record,) = publish([DRAFT], staging=staging, export_folder=tmp_path)
    target = tmp_path / "series/1/volume.nii.gz"
    assert target.read_bytes() == b"content"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert (record.path, record.kind, record.inputs) == (DRAFT.path, "nifti", DRAFT.inputs)
    assert (record.sha256, record.size_bytes) == (hashlib.sha256(b"content").hexdigest(), 7)
    assert list(staging.iterdir()) == []


def test_file_of_a_killed_attempt_is_replaced(tmp_path: Path) -> None:
    """An attempt that was killed between rename and record leaves a file; the next one puts the same there."""
    for _ in range(2):
        staging = make_staging(tmp_path, "job")
        write(staging)
        (record,) = publish([DRAFT], staging=staging, export_folder=tmp_path)
    assert record.size_bytes == 7
    assert [path.name for path in (tmp_path / "series/1").iterdir()] == ["volume.nii.gz"]


def test_bytes_are_flushed_before_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is on stable storage before the first name appears, and each folder is flushed afterwards."""
    staging = make_staging(tmp_path, "job")
    drafts = [OutputDraft(path=f"series/{n}", staged=f"{n}", kind="png") for n in "ab"]
    for draft in drafts:
        write(staging, draft.staged)
    done: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        done.append(f"flush {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        done.append(f"name {target.name}")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    publish(drafts, staging=staging, export_folder=tmp_path)
    assert [each for each in done if each != f"flush {tmp_path.name}"] == [
        "flush a",
        "flush b",
        "name a",
        "name b",
        "flush series",
    ]


@pytest.mark.parametrize(
    "name", ["", ".", "/etc/passwd", "../x", "a/../../x", "a//b", "a/.hidden", f"{STAGING}/x", "a/"]
)
def test_names_stay_below_the_export_folder(name: str) -> None:
    """A processor cannot name a file outside, a hidden one, or one name in two ways."""
    with pytest.raises(JobError, match="plain relative path"):
        check_drafts([OutputDraft(path=name, staged="x", kind="png")])
    with pytest.raises(JobError, match="plain relative path"):
        check_drafts([OutputDraft(path="x", staged=name, kind="png")])


def test_names_are_different() -> None:
    """Two outputs of a job cannot replace each other."""
    other = OutputDraft(path=DRAFT.path, staged="other", kind="png")
    with pytest.raises(JobError, match="same name"):
        check_drafts([DRAFT, other])
    check_drafts([DRAFT])


def test_link_is_not_followed(tmp_path: Path) -> None:
    """A link in the staging folder publishes nothing from elsewhere."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    staging = make_staging(tmp_path, "job")
    (staging / "volume.nii.gz").symlink_to(secret)
    with pytest.raises(JobError):
        publish([DRAFT], staging=staging, export_folder=tmp_path)
    assert not (tmp_path / "series").exists()


def test_only_plain_files(tmp_path: Path) -> None:
    """A pipe or a folder is no output."""
    staging = make_staging(tmp_path, "job")
    os.mkfifo(staging / "volume.nii.gz")
    with pytest.raises(JobError, match="plain file"):
        publish([DRAFT], staging=staging, export_folder=tmp_path)


def test_full_disk_leaves_nothing_and_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the system's own, without a path, and a later attempt may fare better."""
    staging = make_staging(tmp_path, "job")
    write(staging)

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/canary")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(JobError, match="No space left on device") as caught:
        publish([DRAFT], staging=staging, export_folder=tmp_path)
    assert caught.value.retryable
    assert "canary" not in str(caught.value)
    assert not (tmp_path / "series").exists()


def test_staging_folders_are_new_and_cleared(tmp_path: Path) -> None:
    """Each attempt has a folder of its own, and what killed attempts left is removed at the start."""
    first, second = make_staging(tmp_path, "job"), make_staging(tmp_path, "job")
    assert first != second
    write(first)
    clear_staging(tmp_path)
    assert list(tmp_path.iterdir()) == []
    clear_staging(tmp_path)


def test_export_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """A wrong export folder fails the job with the system's reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="cannot be written"):
        make_staging(tmp_path / "file" / "exports", "job")
