"""The command line: how commands are found, and how each kind of error ends."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from darkroom import cli
from darkroom.errors import NodeRunningError

ROOT = Path(cli.__file__).parents[1]
CANARY = "KANARIENVOGEL^TWEETY"
HEAVY = (
    "dbos",
    "imagecodecs",
    "nibabel",
    "numpy",
    "pydantic",
    "pydicom",
    "pynetdicom",
    "sqlalchemy",
    "structlog",
)
COMMANDS = (
    "serve",
    "check-config",
    "version",
    "import",
    "find",
    "send",
    "verify",
    "series",
    "close",
    "jobs",
    "export",
    "replay",
)


@pytest.fixture
def failing(darkroom, monkeypatch):
    """Make ``darkroom version`` raise an error, and return what the operator sees of it."""

    def call(error: BaseException):
        def fail(_name: str) -> str:
            raise error

        monkeypatch.setattr("importlib.metadata.version", fail)
        return darkroom.plain("version")

    return call


def test_help_names_every_command(darkroom):
    """--help lists each command with a sentence, and the exit codes."""
    answer = darkroom.plain("--help")
    assert answer.code == 0
    assert all(f"│ {command} " in answer.out for command in COMMANDS)
    assert "Exit codes" in answer.out


@pytest.mark.parametrize("command", [*COMMANDS, "jobs show", "jobs retry"])
def test_every_command_explains_itself(darkroom, command):
    """Each command's help says what it does and what each of its parameters means."""
    answer = darkroom.plain(*command.split(), "--help")
    assert answer.code == 0
    entries = [line.strip("│* ") for line in answer.out.splitlines() if line.startswith("│")]
    assert entries
    assert all(re.search(r"  +[A-Z]\w+ .*\w\.", entry) for entry in entries), answer.out


def test_help_loads_nothing_heavy():
    """What commands work with is loaded when they run, so that help is there at once."""
    code = (
        "import sys; from darkroom.cli import main; main(['--help']); "
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == "[]\n"


def test_the_module_is_the_command():
    """python -m darkroom works as darkroom does, and its exit code gets through."""
    done = subprocess.run(
        [sys.executable, "-m", "darkroom", "nonsense"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"darkroom": "darkroom.cli:main"}


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["import"], ["jobs", "--stat"], ["jobs", "--state", "lost"]]
)
def test_wrong_arguments_are_misuse(darkroom, arguments):
    """An unknown command, option or choice is explained on standard error, with exit code 2."""
    answer = darkroom.plain(*arguments)
    assert answer.code == 2
    assert answer.err
    assert not answer.out


def test_wrong_settings_are_misuse(darkroom):
    """A fault of the settings is named with its key and line, whatever the command, with exit code 2."""
    darkroom.configure("[node]\nprot = 104\n")
    answer = darkroom("series")
    assert answer.code == 2
    assert "line 5, node.prot: There is no such key. Did you mean port?" in answer.err


def test_an_expected_error_is_one_line_and_a_hint(failing):
    """What can be foreseen is told without a traceback, with exit code 3."""
    answer = failing(NodeRunningError("Another node runs.", hint="Stop it."))
    assert answer.code == 3
    assert answer.err == "error: Another node runs.\nhint: Stop it.\n"


def test_the_systems_refusal_is_one_line(failing):
    """An error of the operating system is told by its reason, with exit code 3."""
    answer = failing(PermissionError(13, "Permission denied", f"/{CANARY}"))
    assert answer.code == 3
    assert answer.err == "error: The system refused: Permission denied.\n"


def test_a_defect_is_told_without_its_text(failing):
    """What nobody foresaw is told by type and place; its text, which may hold a patient's data, is not."""
    answer = failing(ValueError(CANARY))
    assert answer.code == 70
    assert CANARY not in answer.err
    assert "ValueError in tests.darkroom.test_cli" in answer.err or "ValueError in test_cli" in answer.err


def test_an_interruption_is_no_error(failing):
    """Ctrl-C ends with the code that shells know, and says nothing."""
    answer = failing(KeyboardInterrupt())
    assert (answer.code, answer.err) == (130, "")


def test_a_reader_that_has_seen_enough_is_no_error():
    """Output into a pipe that was closed, as by head, ends quietly."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m darkroom version | true; echo $?"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == "0\n"
    assert done.stderr == ""
