"""The architecture: folders, packages and contracts say the same, and the contracts hold."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from darkroom.installation import DISTRIBUTION, PACKAGES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NOT_SHIPPED = {"bench", "constraints", "docs", "scripts", "systemd", "tests"}
"""Folders of the checkout that are no packages of the distribution."""


def _tracked_folders() -> set[str]:
    """Return the top-level folders that hold Python or are known not to."""
    return {path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isidentifier()}


def _packages_in_the_tree() -> set[str]:
    return {
        ".".join(path.parent.relative_to(ROOT).parts)
        for name in PACKAGES
        for path in (ROOT / name).rglob("__init__.py")
    }


def test_folders_contracts_and_packages_agree():
    """The top-level packages are the same in the tree, in the import contracts, in mypy and in the start-up check."""
    in_the_tree = {name for name in _tracked_folders() if (ROOT / name / "__init__.py").exists()}
    assert in_the_tree == set(PACKAGES)
    assert in_the_tree == set(PROJECT["tool"]["importlinter"]["root_packages"])
    assert in_the_tree == set(PROJECT["tool"]["mypy"]["packages"])
    assert in_the_tree == {name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]}


def test_no_folder_is_unknown():
    """A new folder at the top is a decision: it is a package, or named as none."""
    generated = {"build", "dist"}
    assert _tracked_folders() <= set(PACKAGES) | NOT_SHIPPED | generated


def test_every_package_is_shipped():
    """setuptools' list, kept by hand, has each package of the tree and no other."""
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(_packages_in_the_tree())


def test_the_import_contracts_hold():
    """lint-imports keeps them: layers, and one package for each outside library."""
    lint_imports = Path(sys.executable).with_name("lint-imports")
    if not lint_imports.exists():
        pytest.skip("import-linter is not installed")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_contract_names_every_package():
    """No package is left out of the layers, and none of ours escapes a rule by not being named in it."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = [contract for contract in contracts if contract["type"] == "layers"]
    assert {name.strip() for layer in layers["layers"] for name in layer.split("|")} == set(PACKAGES)
    for contract in contracts:
        if contract["name"].startswith("Only "):
            exempt = set(PACKAGES) - set(contract["source_modules"])
            assert len(exempt) == 1, contract["name"]


def test_the_top_level_names_are_ours_alone():
    """No other distribution of this environment owns one of the plain names."""
    owners = packages_distributions()
    assert {name: set(owners.get(name, [DISTRIBUTION])) for name in PACKAGES} == {
        name: {DISTRIBUTION} for name in PACKAGES
    }


def test_the_tests_mirror_the_tree():
    """Each test module of a package's folder is named after a module or a command of that package."""
    strangers = []
    for package in PACKAGES:
        modules = {path.stem for path in (ROOT / package).rglob("*.py")} | {package}
        modules |= {path.parent.name for path in (ROOT / package).rglob("__init__.py")}
        for path in (ROOT / "tests" / package).glob("test_*.py"):
            name = path.stem.removeprefix("test_")
            if not any(name == module or name.startswith(f"{module}_") for module in modules):
                strangers.append(path.relative_to(ROOT).as_posix())
    assert strangers == []


def test_imports_are_absolute():
    """No relative import: a module's line says which package it reaches into."""
    relative = [
        f"{path.relative_to(ROOT)}:{number}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if line.startswith("from .")
    ]
    assert relative == []


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_and_functions_stay_small(package):
    """No module above 400 lines and no function above 50: what grows beyond is two things."""
    too_long = []
    for path in (ROOT / package).rglob("*.py"):
        text = path.read_text()
        if text.count("\n") > 400:
            too_long.append(path.relative_to(ROOT).as_posix())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
                if (node.end_lineno or 0) - body[0].lineno + 1 > 50:
                    too_long.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert too_long == []
