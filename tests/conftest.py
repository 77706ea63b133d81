"""Fixtures and places that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("DARKROOM_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, by name, what reads the corpus where there is none."""
    if CORPUS.is_dir():
        return
    for item in items:
        if item.get_closest_marker("corpus"):
            item.add_marker(pytest.mark.skip(reason="the shared corpus is not here (set DARKROOM_CORPUS)"))


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of the shared corpus."""
    if not CORPUS.is_dir():
        pytest.skip("the shared corpus is not here (set DARKROOM_CORPUS)")
    return CORPUS
