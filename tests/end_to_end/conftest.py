"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.running_node import RunningNode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., RunningNode]]:
    """Starts nodes in folders of the test's, and ends them with it."""
    nodes: list[RunningNode] = []

    def start(more_settings: str = "") -> RunningNode:
        node = RunningNode(folder=tmp_path / f"node-{len(nodes)}", more_settings=more_settings)
        node.folder.mkdir()
        nodes.append(node)
        node.start()
        return node

    yield start
    for node in nodes:
        node.end()
