"""``darkroom serve``."""

from typing import TYPE_CHECKING

from darkroom.commands.options import ConfigFile, read_settings

if TYPE_CHECKING:
    from config.settings import Node
    from darkroom.errors import PortError


def serve(*, config: ConfigFile = None) -> int:
    """Run the node until SIGTERM or Ctrl-C."""
    from darkroom.app import run_node
    from darkroom.installation import check_installation
    from darkroom.logs import set_up_logs

    settings = read_settings(config)
    set_up_logs(settings.log)
    check_installation()
    try:
        return run_node(settings)
    except OSError as error:
        raise _port_error(error, settings.node) from error


def _port_error(error: OSError, node: "Node") -> "OSError | PortError":
    """Return a refused port as our own error, any other error of the system as it is."""
    from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL

    from darkroom.errors import PortError

    hints = {
        EADDRINUSE: "Another program listens there, perhaps another node; stop it or change node.port.",
        EADDRNOTAVAIL: "This machine has no such address; change node.host.",
        EACCES: "A port below 1024 needs CAP_NET_BIND_SERVICE; see systemd/darkroom.service, or change node.port.",
    }
    if error.errno not in hints or error.filename is not None:
        return error
    return PortError(
        f"The node cannot listen on {node.host}:{node.port}: {error.strerror}.", hint=hints[error.errno]
    )
