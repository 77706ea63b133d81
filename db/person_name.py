"""How person names are made comparable."""

from __future__ import annotations


def trim_name(text: str) -> str:
    """Return a Person Name without the delimiters and spaces that say nothing.

    Empty components at the end of a group and empty groups at the end of the name may be left out or not; the
    name is the same. ``DOE^JANE^^^==`` becomes ``DOE^JANE``.

    Source
    ------
    PS3.5 section 6.2.1.1.
    """
    groups = [group.rstrip("^ ").lstrip(" ") for group in text.split("=")]
    return "=".join(groups).rstrip("=")
