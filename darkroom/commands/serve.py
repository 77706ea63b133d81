"""``darkroom serve``."""

from darkroom.commands.options import ConfigFile, read_settings


def serve(*, config: ConfigFile = None) -> int:
    """Run the node until SIGTERM or Ctrl-C."""
    from darkroom.app import run_node
    from darkroom.installation import check_installation
    from darkroom.logs import set_up_logs

    settings = read_settings(config)
    set_up_logs(settings.log)
    check_installation()
    return run_node(settings)
