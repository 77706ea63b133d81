"""The outside programs that judge: found where they are, skipped by name where they are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest


@cache
def _dcmtk(name: str) -> str | None:
    # pynetdicom installs programs of the same names; only DCMTK's own are witnesses.
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = shutil.which(name, path=folder)
        if candidate is None:
            continue
        answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if "dcmtk" in answer.stdout.lower():
            return candidate
    return None


def dcmtk(name: str) -> str:
    """Return the path of DCMTK's program `name`, or skip the test by that name."""
    found = _dcmtk(name)
    if found is None:
        pytest.skip(f"DCMTK's {name} is not installed")
    return found


def tool(name: str) -> str:
    """Return the path of program `name` beside this Python or on the PATH, or skip the test by that name."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
