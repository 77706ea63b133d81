"""The documents: what they name exists, and they name nothing of any one machine."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.cli import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXT_SUFFIXES = {
    "",
    ".cfg",
    ".conf",
    ".md",
    ".py",
    ".service",
    ".sh",
    ".toml",
    ".txt",
    ".yml",
    ".yaml",
    ".json",
}

# Written in two halves, so that this file does not name them.
HOSTS = [
    "pypi." + "org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "deb." + "debian.org",
    "local" + "host:3141",
]
PLACES = ["/wo" + "rk/", "/ro" + "ot/", "/opt/py" + "pi", "/opt/wh" + "eels", "/ho" + "me/"]
INVENTED = ["/ho" + "me/x", "/ho" + "me/you"]
"""Places of nobody's, in examples and tests."""


def _tracked_files() -> list[Path]:
    """Return the text files of the checkout, those git would ship."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.suffix in TEXT_SUFFIXES and path.is_file()]


def _commands(document: Path) -> list[str]:
    """Return the lines of a document's shell examples."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def test_no_file_names_a_registry_or_a_place_of_one_machine():
    """The checkout is at home everywhere: it names no package registry's host and no machine's folders."""
    found = []
    for path in _tracked_files():
        text = path.read_text(errors="replace")
        for invented in INVENTED:
            text = text.replace(invented, "")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in HOSTS + PLACES if word in text]
    assert found == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    """Each relative link of a document is a file of the checkout."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text())
    relative = [link for link in links if "://" not in link]
    assert [link for link in relative if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_that_documents_show_exist(document):
    """Each ``darkroom`` and ``./dev`` line of a shell example is a command that there is, with options it has."""
    usage = (ROOT / "dev").read_text()
    for line in _commands(document):
        words = shlex.split(line, comments=True)
        while words and ("=" in words[0] or words[0] == "sudo"):
            words.pop(0)
        if words[:2] == ["./dev", "run"]:
            words = ["darkroom", *words[2:]]
        if words[:1] == ["./dev"]:
            assert re.search(rf"^{re.escape(words[1])}\)", usage, re.MULTILINE), line
        if words[:1] == ["darkroom"]:
            _check_command(words[1:], line)


def _check_command(words: list[str], line: str) -> None:
    command = app
    while words and not words[0].startswith("-") and words[0] in command:
        command = command[words.pop(0)]
    assert command is not app or words in (["--help"], ["--version"], ["COMMAND"], []), line
    known = command.assemble_argument_collection() if command.default_command else []
    options = {name for argument in known for name in argument.names} | {"--help", "-h", "--version"}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options, line


def test_a_command_that_does_not_exist_would_be_found():
    """The check above can fail."""
    with pytest.raises(AssertionError):
        _check_command(["nonsense"], "darkroom nonsense")
    with pytest.raises(AssertionError):
        _check_command(["jobs", "retry", "--everything"], "darkroom jobs retry --everything")


@pytest.mark.parametrize("name", ["reference-cli.md", "modules.md"])
def test_written_documents_are_up_to_date(tmp_path, name):
    """What a script writes from the code says what the code says today."""
    script = {"reference-cli.md": "write_cli_reference.py", "modules.md": "write_module_map.py"}[name]
    # in a process of its own: the usage lines name the program that runs
    subprocess.run([sys.executable, ROOT / "scripts" / script, tmp_path / name], check=True)
    assert (tmp_path / name).read_text() == (ROOT / "docs" / name).read_text(), f"run scripts/{script}"


def test_the_readme_names_every_package_of_ours():
    """A newcomer finds each top-level folder of code in the README's picture."""
    text = (ROOT / "README.md").read_text()
    packages = [path.parent.name for path in ROOT.glob("*/__init__.py")]
    assert [package for package in packages if f"{package}/" not in text] == []


def test_the_changelog_keeps_its_form():
    """Keep a Changelog: an Unreleased section first, then versions with dates, each with known groups."""
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    assert lines[0] == "# Changelog"
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", line) for line in versions[1:])
    groups = {line.removeprefix("### ") for line in lines if line.startswith("### ")}
    assert groups <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_every_script_explains_itself():
    """Each shell script says in its first comment what it does, and is executable."""
    for path in (ROOT / "dev", ROOT / ".ci" / "run", ROOT / "systemd" / "install.sh"):
        first, second = path.read_text().splitlines()[:2]
        assert first.startswith("#!")
        assert second.startswith("# ")
        assert path.stat().st_mode & 0o100
