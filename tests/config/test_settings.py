"""Settings: what a file may say, and what is said about a file that is wrong."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

import config
from config.settings import (
    ROUTE_KEYWORDS,
    SYSTEM_FILE,
    Fault,
    Node,
    Settings,
    SettingsError,
    find_settings_file,
    load_settings,
)

DEFAULT = Path(config.__file__).parent / "default.toml"
CANARY = "KANARIENVOGEL"


@pytest.fixture
def faults(tmp_path):
    """Write a settings file and return the faults that it has."""

    def find(text: str) -> list[Fault]:
        path = tmp_path / "darkroom.toml"
        path.write_text(text)
        with pytest.raises(SettingsError) as raised:
            load_settings(path)
        assert raised.value.path == path
        assert all(CANARY not in fault.message + fault.key for fault in raised.value.faults)
        return list(raised.value.faults)

    return find


@pytest.fixture
def settings(tmp_path):
    """Write a settings file and return what it means."""

    def load(text: str) -> Settings:
        path = tmp_path / "darkroom.toml"
        path.write_text(text)
        return load_settings(path)

    return load


def _models(model: type[BaseModel] = Settings, above: str = "") -> dict[str, type[BaseModel]]:
    """Return every table of the settings by its name in TOML."""
    found = {above: model}
    for name, field in model.model_fields.items():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= _models(inner, f"{above}.{name}".strip("."))
    return found


def _documented() -> dict[str, set[str]]:
    """Return the tables of default.toml and their keys, with the commented ones."""
    found: dict[str, set[str]] = {"": set()}
    table = ""
    for line in DEFAULT.read_text().splitlines():
        if header := re.match(r"#?\[\[?([a-z]+)\]", line):
            table = header[1]
            found[""].add(table)
            found.setdefault(table, set())
        elif key := re.match(r"#?([a-z_]+) = ", line):
            found[table].add(key[1])
    return found


def test_the_documented_defaults_are_the_defaults():
    """default.toml, read as a settings file, means exactly what no file means."""
    assert load_settings(DEFAULT) == Settings() == load_settings(None)


def test_every_key_is_documented_and_nothing_else():
    """default.toml has each table and key of the models, and none that they lack."""
    assert _documented() == {name: set(model.model_fields) for name, model in _models().items()}


def test_every_key_is_explained():
    """Each key and table of default.toml stands below a comment, or below a key that shares one."""
    lines = DEFAULT.read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if re.match(r"#?[a-z_]+ = ", line):
            assert re.match(r"# \w|#?[a-z_]+ = ", above), line


def test_the_commented_examples_are_valid(settings):
    """With its examples uncommented default.toml is still a file that loads."""
    loaded = settings(re.sub(r"^#(?=[a-z\[])", "", DEFAULT.read_text(), flags=re.MULTILINE))
    assert loaded.peers[0].host == "192.0.2.10"
    assert loaded.data_folder == Path("/var/lib/darkroom")
    assert loaded.key_file == Path("/var/lib/darkroom/deidentify.key")
    assert loaded.export_folder == Path("/var/lib/darkroom/exports")


def test_folders_follow_the_storage_folder(settings, tmp_path):
    """Exports and key lie in the storage folder unless they are put elsewhere."""
    loaded = settings(f'[storage]\nfolder = "{tmp_path}"\n')
    assert (loaded.data_folder, loaded.export_folder, loaded.key_file) == (
        tmp_path,
        tmp_path / "exports",
        tmp_path / "deidentify.key",
    )


@pytest.mark.parametrize(
    ("xdg", "expected"),
    [
        ("/data", "/data/darkroom"),
        ("", "/home/x/.local/share/darkroom"),
        ("rel", "/home/x/.local/share/darkroom"),
    ],
)
def test_the_default_folder_is_where_a_users_data_belongs(monkeypatch, xdg, expected):
    """XDG_DATA_HOME is honoured where it is absolute, as its specification says."""
    monkeypatch.setenv("XDG_DATA_HOME", xdg)
    monkeypatch.setenv("HOME", "/home/x")
    assert Settings().data_folder == Path(expected)


def test_a_home_folder_is_resolved(settings, monkeypatch):
    """~ means the home folder of the node's user."""
    monkeypatch.setenv("HOME", "/home/x")
    assert settings('[storage]\nfolder = "~/dicom"').data_folder == Path("/home/x/dicom")


def test_all_faults_are_named_at_once_with_key_and_line(faults):
    """One reading of a bad file names every fault, in the file's order, and repeats no value."""
    found = faults(
        "[node]\n"
        'ae_titel = "KANARIENVOGEL"\n'
        'port = "KANARIENVOGEL"\n'
        "[[peers]]\n"
        'name = "a"\n'
        'ae_title = "A"\n'
        'addresses = ["192.0.2.1",\n'
        '  "KANARIEN VOGEL"]\n'
        "[[peers]]\n"
        'name = "KANARIENVOGEL!"\n'
        'ae_title = "KANARIENVOGEL_TOO_LONG"\n'
        "addresses = []\n"
        'rights = ["KANARIENVOGEL"]\n'
        "[worker]\n"
        "tries = 0\n"
        "wall_s = inf\n"
    )
    assert [(fault.key, fault.line) for fault in found] == [
        ("node.ae_titel", 2),
        ("node.port", 3),
        ("peers[0].addresses[1]", 7),
        ("peers[1].name", 10),
        ("peers[1].ae_title", 11),
        ("peers[1].addresses", 12),
        ("peers[1].rights[0]", 13),
        ("worker.tries", 15),
        ("worker.wall_s", 16),
    ]


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("[node]\nae_titel = 'X'", "Did you mean ae_title?"),
        ("[netwrk]\n", "Did you mean network?"),
        ("[node]\nidle_timeout_s = 3", "Did you mean network.idle_timeout_s?"),
        ("[[routes]]\nname = 'a'\nprocessors = ['png']\nprocesors = 1", "Did you mean processors?"),
        ("[log]\nzzzzzzzzz = 1", "Known here: format, level."),
    ],
)
def test_an_unknown_key_gets_the_nearest_known_one(faults, text, suggestion):
    """A misspelt key is refused with the one that was probably meant."""
    assert [suggestion in fault.message for fault in faults(text)] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "node = 1",
        "[node]\nport = 65536",
        "[node]\nport = true",
        "[node]\nport = 104.0",
        "[node]\nport = 1979-05-27",
        "[node]\nae_title = ''",
        "[node]\nae_title = 'ÄRZTE'",
        "[node]\nae_title = ' A'",
        "[node]\nae_title = 1979-05-27",
        "[node]\nhost = '256.1.1.1'",
        "[node]\nhost = 'a b'",
        "[storage]\nfolder = 'relative'",
        "[storage]\nfolder = 3",
        "[storage]\nfree_fraction = 1.0",
        "[storage]\nfree_fraction = nan",
        "[completion]\nquiet_s = 0",
        "[network]\nmaximum_pdu_bytes = 100",
        "[log]\nlevel = 'loud'",
        "[deidentify]\nkey_file = 1979-05-27",
        "[[routes]]\nname = 'a'\nprocessors = []",
        "[[routes]]\nname = 'a'\nprocessors = ['png', 'png']",
        "[[routes]]\nname = 'a'\nprocessors = ['png']\nmatch = {Modality = 3}",
        "[[routes]]\nname = '../a'\nprocessors = ['png']",
        "[[routes]]\nname = 'a'",
        "routes = [[]]",
        "[worker]\nbackoff_s = 20.0\nbackoff_max_s = 10.0",
    ],
)
def test_a_wrong_value_is_refused(faults, text):
    """Each of these is one fault, on a line of the file."""
    (fault,) = faults(text)
    assert fault.line is not None
    assert fault.message.endswith(".")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "node.example"])  # noqa: S104 - refused here
def test_only_this_machine_may_call_while_no_peers_are_named(faults, settings, host):
    """An address that others can reach is refused without peers, and taken with one."""
    text = f'[node]\nhost = "{host}"\n'
    assert [(fault.key, fault.line) for fault in faults(text)] == [("node.host", 2)]
    peer = '[[peers]]\nname = "a"\nae_title = "A"\naddresses = ["192.0.2.9"]\n'
    assert settings(text + peer).node.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_the_loopback_needs_no_peers(settings, host):
    """Every spelling of this machine may be listened on."""
    assert settings(f'[node]\nhost = "{host}"\n').node.host == host


def test_names_and_titles_are_unique(faults):
    """Two peers or routes that could be taken for one another are refused where the second stands."""
    found = faults(
        '[[peers]]\nname = "a"\nae_title = "A"\naddresses = ["192.0.2.1"]\n'
        '[[peers]]\nname = "a"\nae_title = "A"\naddresses = ["192.0.2.2"]\n'
        '[[routes]]\nname = "r"\nprocessors = ["png"]\n'
        '[[routes]]\nname = "r"\nprocessors = ["png"]\n'
    )
    assert [(fault.key, fault.line) for fault in found] == [
        ("peers[1].name", 6),
        ("peers[1].ae_title", 7),
        ("routes[1].name", 13),
    ]


def test_a_route_matches_known_attributes_only(faults, settings):
    """What the index does not keep of a series cannot be matched, and the fault names what can."""
    (fault,) = faults('[[routes]]\nname = "a"\nprocessors = ["png"]\nmatch = {Modlity = "CT"}\n')
    assert (fault.key, fault.line) == ("routes[0].match", 4)
    assert all(keyword in fault.message for keyword in ROUTE_KEYWORDS)
    text = '[[routes]]\nname = "a"\nprocessors = ["png"]\n[routes.match]\nModality = "CT"\n'
    assert settings(text).routes[0].match == {"Modality": "CT"}


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"[node]\nport = \n", 2, "not TOML"),
        (b"[node]\n[node]\n", 2, "not TOML"),
        (b'[node]\nhost = "a', 2, "not TOML"),
        (b"[node]\n# \xff\n", 2, "not UTF-8"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_line(tmp_path, content, line, says):
    """A file that cannot be parsed is one fault, where the parser stopped."""
    path = tmp_path / "darkroom.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        load_settings(path)
    (fault,) = raised.value.faults
    assert fault.line == line
    assert says in fault.message


def test_a_file_that_is_not_there_is_a_fault(tmp_path):
    """A file that was named and cannot be read is never silently replaced by the defaults."""
    with pytest.raises(SettingsError, match="1 fault") as raised:
        load_settings(tmp_path / "none.toml")
    assert raised.value.hint


def test_the_file_given_comes_before_the_environments_and_the_systems(monkeypatch, tmp_path):
    """--config, then $DARKROOM_CONFIG, then the system's file, then none."""
    system = tmp_path / "system.toml"
    monkeypatch.setattr("config.settings.SYSTEM_FILE", system)
    monkeypatch.delenv("DARKROOM_CONFIG", raising=False)
    assert find_settings_file() is None
    system.touch()
    assert find_settings_file() == system
    monkeypatch.setenv("DARKROOM_CONFIG", "/elsewhere.toml")
    assert find_settings_file() == Path("/elsewhere.toml")
    assert find_settings_file(Path("/given.toml")) == Path("/given.toml")
    assert str(SYSTEM_FILE) == "/etc/darkroom/darkroom.toml"


def test_settings_cannot_be_changed():
    """Settings are values: what was checked stays as it was."""
    with pytest.raises(ValidationError):
        Settings().node.port = 1
    with pytest.raises(ValidationError):
        Node(prot=1)


def test_the_default_file_is_plain_toml():
    """default.toml itself parses, so that it can be copied and edited."""
    assert tomllib.loads(DEFAULT.read_text())
