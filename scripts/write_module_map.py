"""Write docs/modules.md, the map of the tree, from the modules' own first sentences: ``python scripts/write_module_map.py [FILE]``."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "modules.md"
PACKAGES = ("darkroom", "scp", "db", "processing", "config")
TITLE = """# Where things are

<!-- Written by scripts/write_module_map.py from the modules' docstrings; do not edit. -->

Imports only ever point down this page: `darkroom` > `scp` > `db`, `processing` and `config`, which know nobody.
"""


def module_map() -> str:
    """Return the whole document."""
    return TITLE + "".join(_package(ROOT / name) for name in PACKAGES)


def _package(folder: Path) -> str:
    paths = sorted(folder.rglob("*.py"), key=lambda path: (len(path.parts), path))
    rows = [
        f"| `{path.relative_to(ROOT).as_posix()}` | {_first_sentence(path)} |"
        for path in paths
        if path.name != "__init__.py"
    ]
    heading = f"\n## {folder.name}/\n\n{_first_sentence(folder / '__init__.py')}\n"
    return "\n".join([heading, "| module | what it is |", "|---|---|", *rows, ""])


def _first_sentence(path: Path) -> str:
    """Return the first paragraph of a module's docstring as one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else TARGET).write_text(module_map(), encoding="utf-8")
