"""``darkroom version``."""

from darkroom.commands.options import AsJson


def show_version(*, json: AsJson = False) -> int:
    """Print the version."""
    from importlib.metadata import version

    from darkroom.console import print_json, print_line

    found = version("dicom-darkroom")
    if json:
        print_json({"version": found})
    else:
        print_line(found)
    return 0
