"""The tables of the standard that de-identification reads, compact and read when first asked for.

``scripts/generate_deidentification_tables.py`` writes them; each file names its source, edition and hashes.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def read_table(name: str) -> dict[str, Any]:
    """Return the table `name` (``confidentiality``, ``iod_types`` or ``defined_terms``)."""
    content = resources.files(__name__).joinpath(f"{name}.json.gz").read_bytes()
    table: dict[str, Any] = json.loads(gzip.decompress(content))
    return table


@cache
def edition() -> str:
    """Return the edition of PS3.15 that Table E.1-1 was taken from, for example ``2026d``."""
    return str(read_table("confidentiality")["edition"])


@cache
def confidentiality_rows() -> dict[int, tuple[str, dict[str, str]]]:
    """Return Table E.1-1: by tag the basic action and what each option (CID 7050 code) makes of it.

    The rows for private attributes and for the repeating groups 50xx and 60xx are left out: all of those go, always.
    """
    rows = read_table("confidentiality")["rows"]
    return {
        int(tag, 16): (str(basic), dict(options))
        for tag, (basic, options) in rows.items()
        if tag != "PRIVATE" and "x" not in tag
    }


@cache
def defined_terms() -> frozenset[str]:
    """Return every word that PS3.3 defines as a term or enumerates as a value of a CS attribute."""
    return frozenset(read_table("defined_terms")["terms"])
