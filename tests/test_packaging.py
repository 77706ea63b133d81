"""Packaging: what a wheel holds, what is pinned, and under which licences it comes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from darkroom.installation import PACKAGES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = ROOT / "constraints"
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: *;[^\\]+)?(?: \\)?")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """The names of the files in a wheel that was built from a copy of the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        ".",
    ]
    subprocess.run([*command, "--wheel-dir", "wheels"], cwd=copy, check=True, capture_output=True)
    (built,) = (copy / "wheels").glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


def _requirements(name: str) -> dict[str, list[str]]:
    """Return the pinned lines of a constraints file, each with its hashes."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in (CONSTRAINTS / name).read_text().splitlines():
        if line.startswith("    --hash="):
            current.append(line.strip(" \\"))
        elif line:
            current = found.setdefault(line, [])
    return found


def test_a_wheel_holds_every_module_and_what_it_reads(wheel):
    """Each module, the documented settings, the tables, the migrations and the type markers are shipped."""
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".toml", ".gz") or path.name == "py.typed"
    }
    assert wanted <= wheel
    assert "config/default.toml" in wheel
    assert any(name.startswith("db/migrations/versions/0001") for name in wheel)
    assert any(name.startswith("processing/tables/") and name.endswith(".json.gz") for name in wheel)
    assert {f"{package}/py.typed" for package in PACKAGES} <= wheel


def test_a_wheel_holds_nothing_else(wheel):
    """No test, script or document is shipped as a top-level package."""
    assert {name.partition("/")[0] for name in wheel if ".dist-info/" not in name} == set(PACKAGES)
    assert any(name.endswith("LICENSE") for name in wheel)


@pytest.mark.parametrize("name", ["build.txt", "run.txt", "test.txt"])
def test_every_dependency_is_pinned_with_hashes_and_without_a_host(name):
    """A constraints file says what, in which version and with which bytes, and never from where."""
    text = (CONSTRAINTS / name).read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    requirements = _requirements(name)
    assert requirements
    for line, hashes in requirements.items():
        assert REQUIREMENT.fullmatch(line), line
        assert hashes, line
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), line


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pinned(name: str) -> dict[str, str]:
    matches = [REQUIREMENT.fullmatch(line) for line in _requirements(name)]
    return {_normalised(match["name"]): match["version"] for match in matches if match}


def test_what_is_declared_is_pinned():
    """Every dependency of pyproject.toml is in the constraints, those for tests in the ones for tests."""
    names = {_normalised(re.split(r"[<>=~! ;\[]", each)[0]) for each in PROJECT["project"]["dependencies"]}
    assert names <= set(_pinned("run.txt"))
    extra = PROJECT["project"]["optional-dependencies"]["test"]
    assert names | {_normalised(re.split(r"[<>=~! ;\[]", each)[0]) for each in extra} <= set(
        _pinned("test.txt")
    )


def test_a_run_and_a_test_use_the_same_versions():
    """What is tested is what runs: no dependency has another version in the constraints for tests."""
    run, test = _pinned("run.txt"), _pinned("test.txt")
    assert {name: test.get(name) for name in run} == run


def test_no_default_dependency_is_gpl():
    """Nothing that a node needs is under the GPL or AGPL; the LGPL, of a library that is imported, is not GPL."""
    gpl = []
    for name in _pinned("run.txt"):
        try:
            metadata = distribution(name).metadata
        except PackageNotFoundError:
            continue  # for another platform or Python
        licences = [metadata.get("License-Expression") or metadata.get("License") or ""]
        licences += [each for each in metadata.get_all("Classifier") or [] if each.startswith("License")]
        if any(
            re.search(r"(?<!L)GPL|(?<!Lesser )General Public License", each.split("\n")[0])
            for each in licences
        ):
            gpl.append(name)
    assert gpl == []
    assert "pylibjpeg-libjpeg" not in _pinned("run.txt")


def test_the_licence_is_mit():
    """The file, the metadata and the copyright say the same."""
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License")
    assert "The Darkroom authors" in text
    assert PROJECT["project"]["license"] == "MIT"


def test_it_cannot_be_uploaded_by_mistake():
    """The plain top-level names must never reach a shared index."""
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]
