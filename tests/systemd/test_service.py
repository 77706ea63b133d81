"""The service: systemd's own tools find the unit right and well enclosed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from config.settings import Settings
from darkroom.worker import GRACE_S

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "darkroom.service"
MOST_EXPOSURE = 2.0


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def _setting(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


@pytest.mark.witness
def test_systemd_understands_every_line(tmp_path):
    """systemd-analyze verify has nothing to say about the unit, with a program that exists in its place."""
    copy = tmp_path / UNIT.name
    program = shutil.which("true")
    copy.write_text(UNIT.read_text().replace("/opt/darkroom/bin/darkroom", program or "/bin/true"))
    done = _analyze("verify", "--man=no", str(copy))
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert complaints == []


@pytest.mark.witness
def test_the_unit_is_enclosed():
    """systemd-analyze security rates the unit's exposure at 2.0 or better."""
    done = _analyze("security", "--offline=true", "--no-pager", str(UNIT))
    found = re.search(r"Overall exposure level for .*: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip("systemd-analyze cannot rate a unit offline here")
    assert float(found[1]) <= MOST_EXPOSURE, done.stdout


def test_the_unit_gives_the_node_time_to_stop():
    """The time to stop is more than associations and jobs are given by default, so that nothing is cut off."""
    (stop,) = _setting("TimeoutStopSec")
    assert float(stop) > Settings().network.shutdown_grace_s + 2 * GRACE_S
    assert _setting("KillMode") == ["mixed"]
    assert _setting("Type") == ["notify"]


def test_the_installation_fits_the_unit():
    """The install script, the unit, sysusers and tmpfiles name the same program, settings, state and user."""
    script = (ROOT / "systemd" / "install.sh").read_text()
    (start,) = _setting("ExecStart")
    assert start == "/opt/darkroom/bin/darkroom serve --config /etc/darkroom/darkroom.toml"
    assert "program=/opt/darkroom\n" in script
    assert "settings=/etc/darkroom/darkroom.toml\n" in script
    assert 'folder = "/var/lib/darkroom"' in script
    assert '#folder = "/var/lib/darkroom"\n' in (ROOT / "config" / "default.toml").read_text()
    users = (ROOT / "systemd" / "darkroom.sysusers.conf").read_text()
    folders = (ROOT / "systemd" / "darkroom.tmpfiles.conf").read_text()
    assert _setting("User") == _setting("Group") == ["darkroom"]
    assert "u darkroom " in users
    assert "/var/lib/darkroom 0750 darkroom darkroom" in folders


@pytest.mark.parametrize("script", ["systemd/install.sh", "dev"])
def test_scripts_are_plain_shell(script):
    """The scripts are POSIX sh: dash, where there is one, reads them without a complaint."""
    shell = shutil.which("dash") or "/bin/sh"
    done = subprocess.run([shell, "-n", str(ROOT / script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
