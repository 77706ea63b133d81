"""The installation: our top-level packages have plain names, which must not be anybody else's.

``config``, ``db``, ``processing`` and ``scp`` belong to an environment of the node's own; a second distribution with one
of those names would overlay ours, module by module.
"""

from __future__ import annotations

from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

from darkroom.errors import InstallationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DISTRIBUTION = "dicom-darkroom"
PACKAGES = ("config", "darkroom", "db", "processing", "scp")


def check_installation(owners: Mapping[str, Collection[str]] | None = None) -> None:
    """Refuse to run where another distribution owns one of our packages.

    Parameters
    ----------
    owners
        Top-level names and the distributions that own them; those of this environment where none are given.

    Raises
    ------
    InstallationError
        If a name is shared; it says with whom.
    """
    owners = packages_distributions() if owners is None else owners
    for package in PACKAGES:
        others = sorted(set(owners.get(package, ())) - {DISTRIBUTION})
        if others:
            raise InstallationError(
                f"The package {package} belongs to {', '.join(others)} too.",
                hint="Install Darkroom into an environment of its own, as systemd/install.sh does.",
            )
