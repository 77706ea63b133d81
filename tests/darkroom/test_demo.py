"""The demonstration: whole once, and its parts."""

from __future__ import annotations

import hashlib

import pydicom
import pytest

from config.settings import load_settings
from darkroom.demo import REAL_SERIES, SETTINGS, DemoError, _digests, _scu, _write_series, main
from darkroom.phantom import SLICES


def test_what_is_sent_is_five_series_with_different_instances(tmp_path):
    """Every packaged series is found and the phantom is there; each data set is counted once."""
    sent = _write_series(tmp_path)
    folders = [folder for folder in tmp_path.iterdir() if folder.is_dir()]
    assert len(folders) == len(REAL_SERIES) + 1
    files = [path for folder in folders for path in folder.iterdir()]
    assert len(sent) == len(files)
    assert len(list((tmp_path / "phantom").iterdir())) == SLICES
    series = {pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID for path in files}
    assert len(series) == len(folders)


def test_digests_are_of_data_sets_alone(tmp_path):
    """Two files with the same data set behind other file meta information count as one."""
    dataset = pydicom.Dataset()
    dataset.PatientID = "CANARY-7"
    for name in ("ONE", "OTHER"):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.file_meta.ImplementationVersionName = name
        dataset.preamble = bytes(128)
        dataset.save_as(tmp_path / name, enforce_file_format=False)
    content = (tmp_path / "ONE").read_bytes()
    expected = hashlib.sha256(content[content.index(b"\x10\x00\x20\x00LO") :]).hexdigest()
    assert _digests(tmp_path) == {expected}


def test_its_settings_are_settings(tmp_path):
    """The file that the demonstration writes is one that the node reads."""
    file = tmp_path / "darkroom.toml"
    file.write_text(SETTINGS.format(port=11112, folder=tmp_path / "archive"))
    settings = load_settings(file)
    assert settings.data_folder == tmp_path / "archive"
    assert [route.processors for route in settings.routes] == [("nifti", "png", "dicom")]


def test_a_program_that_fails_is_named():
    """What pynetdicom's program said last is told, with its name."""
    with pytest.raises(DemoError, match="echoscu failed: "):
        _scu("echoscu", 0)


@pytest.mark.witness
def test_the_demonstration_comes_to_its_end(tmp_path, monkeypatch, capsys):
    """Everything that was sent comes back over the network as it was, and the outputs are where it says."""
    monkeypatch.setattr("darkroom.demo.tempfile.mkdtemp", lambda prefix: str(tmp_path))
    assert main() == 0
    said = capsys.readouterr().out
    assert "C-GET: 57 of 57 data sets came back identical" in said
    assert "NIfTI: 10 files" in said
    shown = [line.strip() for line in said.splitlines() if line.startswith("  demo/")]
    assert shown
    assert all((tmp_path / "archive" / "exports" / path).stat().st_size for path in shown)
