"""``darkroom check-config``."""

from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.commands.options import AsJson, ConfigFile

if TYPE_CHECKING:
    from config.settings import Settings

WRONG_SETTINGS = 2


def check_config(file: Path | None = None, /, *, config: ConfigFile = None, json: AsJson = False) -> int:
    """Name every fault of the settings file, with its key and line.

    Exit code 2 if there are any.

    Parameters
    ----------
    file
        The settings file; the one that the node would read where none is given.
    """
    from config.settings import SettingsError, find_settings_file
    from darkroom.console import plain, print_error, print_fault_table, print_json, print_line

    path = find_settings_file(file or config)
    try:
        _check(path)
    except SettingsError as error:
        if json:
            print_json({"file": str(path), "faults": plain(error.faults)})
        else:
            print_error(f"{path}: {error}", hint=error.hint)
            print_fault_table(error.faults)
        return WRONG_SETTINGS
    if json:
        print_json({"file": str(path) if path else None, "faults": []})
    else:
        print_line(
            f"{path}: no faults" if path else "There is no settings file; all settings are the defaults."
        )
    return 0


def _check(path: Path | None) -> "Settings":
    """Return the settings, with the routes' matching values read too."""
    from config.settings import Fault, SettingsError, load_settings
    from darkroom.errors import RouteError
    from darkroom.routes import read_routes

    settings = load_settings(path)
    faults = []
    for position, route in enumerate(settings.routes):
        try:
            read_routes([route])
        except RouteError as error:
            faults.append(Fault(key=f"routes[{position}].match", line=None, message=str(error)))
    if faults:
        raise SettingsError(faults, path=path)
    return settings
