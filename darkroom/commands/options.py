"""The options that commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from config.settings import Settings

ConfigFile = Annotated[
    Path | None,
    Parameter(
        name="--config",
        help="The settings file; else the one in $DARKROOM_CONFIG, else /etc/darkroom/darkroom.toml, else none.",
    ),
]
AsJson = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON for machines.")
]


def read_settings(config: Path | None) -> "Settings":
    """Return the settings that the command works with.

    From here on nothing below the command prints by itself: warnings and errors become log lines on standard error.

    Raises
    ------
    SettingsError
        If the file has faults.
    """
    from config.settings import find_settings_file, load_settings
    from darkroom.logs import set_up_logs

    settings = load_settings(find_settings_file(config))
    set_up_logs(settings.log.model_copy(update={"level": "warning"}))
    return settings
