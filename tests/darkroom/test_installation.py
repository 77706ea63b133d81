"""The installation check: plain top-level names must be ours alone."""

from __future__ import annotations

import pytest

from darkroom.errors import InstallationError
from darkroom.installation import DISTRIBUTION, PACKAGES, check_installation


def test_this_environment_is_ours():
    """No other distribution of the environment that runs the tests owns one of our names."""
    check_installation()


def test_a_stranger_with_one_of_our_names_is_named():
    """A second owner of a name keeps the node from starting, and is named in the message."""
    owners = {package: [DISTRIBUTION] for package in PACKAGES} | {"db": [DISTRIBUTION, "stranger"]}
    with pytest.raises(InstallationError, match="db belongs to stranger"):
        check_installation(owners)


def test_a_checkout_that_is_not_installed_may_run():
    """Where no distribution owns the names there is nobody to clash with."""
    check_installation({})
