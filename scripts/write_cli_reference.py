"""Write docs/reference-cli.md from the commands themselves: ``python scripts/write_cli_reference.py [FILE]``."""

from __future__ import annotations

import sys
from pathlib import Path

from darkroom.cli import app

TARGET = Path(__file__).parents[1] / "docs" / "reference-cli.md"
TITLE = "# The command line\n\n<!-- Written by scripts/write_cli_reference.py from the commands; do not edit. -->\n"
EXIT_CODES = """
## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | done, but something was refused, failed or found damaged; what it was is printed |
| 2 | the settings or the arguments are wrong |
| 3 | it could not be done: one line says why, and a hint what may help |
| 70 | a defect of Darkroom: type and place are printed, never data |
| 130 | interrupted with Ctrl-C |

Tables and JSON go to standard output; progress, errors and logs go to standard error.
"""


def reference() -> str:
    """Return the whole document."""
    text = app.generate_docs(output_format="markdown", heading_level=1)
    body = text.partition("\n")[2].strip()
    lines = [line.rstrip() for line in f"{TITLE}\n{body}\n{EXIT_CODES}".splitlines()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else TARGET).write_text(reference(), encoding="utf-8")
