#!/bin/sh
# Install or upgrade Darkroom as a service, from this checkout: systemd/install.sh (as root).
#
# Puts the program into /opt/darkroom, the settings into /etc/darkroom/darkroom.toml (never over one that is there),
# the state into /var/lib/darkroom, and the unit into /etc/systemd/system. It may be run again at any time.
set -eu
umask 022
cd "$(dirname "$0")/.."

program=/opt/darkroom
settings=/etc/darkroom/darkroom.toml

fail() {
    echo "install: $1" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "run it as root."
command -v systemd-sysusers >/dev/null || fail "systemd is needed."
python="${PYTHON:-python3}"
"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "Python 3.11 or newer with venv and pip is needed (on Debian: python3 python3-venv); set PYTHON to it."

echo "install: the program, into $program"
[ -x "$program/bin/python" ] || "$python" -m venv "$program"
"$program/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    -r constraints/build.txt -r constraints/run.txt
# Built from a copy, so that nothing of root's is left in the checkout.
copy="$(mktemp -d)"
trap 'rm -rf "$copy"' EXIT
cp -R pyproject.toml README.md LICENSE config darkroom db processing scp "$copy"
"$program/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index \
    --force-reinstall "$copy"

echo "install: user, folders and unit"
install -D -m 0644 systemd/darkroom.sysusers.conf /etc/sysusers.d/darkroom.conf
install -D -m 0644 systemd/darkroom.tmpfiles.conf /etc/tmpfiles.d/darkroom.conf
install -D -m 0644 systemd/darkroom.service /etc/systemd/system/darkroom.service
systemd-sysusers darkroom.conf
install -d -m 0750 -o root -g darkroom /etc/darkroom
if [ ! -e "$settings" ]; then
    sed 's|^#folder = "/var/lib/darkroom"$|folder = "/var/lib/darkroom"|' config/default.toml >"$copy/darkroom.toml"
    install -m 0640 -o root -g darkroom "$copy/darkroom.toml" "$settings"
fi
systemd-tmpfiles --create darkroom.conf
"$program/bin/darkroom" check-config "$settings"

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if systemctl --quiet is-active darkroom.service; then
        echo "install: done; systemctl restart darkroom starts the new version."
    else
        echo "install: done; systemctl enable --now darkroom starts it."
    fi
else
    echo "install: done; systemd is not running here."
fi
