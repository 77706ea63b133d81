"""Which type (1, 1C, 2, 2C, 3) an attribute has in the IOD of a SOP class, wherever it is nested."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from typing import Any

from processing.tables import read_table

SHARED_FUNCTIONAL_GROUPS = 0x52009229
PER_FRAME_FUNCTIONAL_GROUPS = 0x52009230


class AttributeType(IntEnum):
    """How much an IOD asks for an attribute (PS3.5 section 7.4); the conditional types count as their plain ones.

    A conditional attribute that is present is taken as required: whether its condition holds cannot be known in general.
    """

    REQUIRED = 1
    REQUIRED_MAY_BE_EMPTY = 2
    OPTIONAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeNode:
    """An attribute's type, and those of the attributes in its items."""

    attribute_type: AttributeType = AttributeType.OPTIONAL
    children: dict[int, TypeNode] = field(default_factory=dict)

    def child(self, tag: int) -> TypeNode:
        """Return what is known of `tag` one level down; optional where nothing is known."""
        return self.children.get(tag, UNKNOWN)


UNKNOWN = TypeNode()


def is_known(sop_class_uid: str) -> bool:
    """Whether the tables hold the IOD of this SOP class."""
    return sop_class_uid in read_table("iod_types")["sop_classes"]


@cache
def iod_types(sop_class_uid: str) -> TypeNode:
    """Return the types of the IOD of a SOP class, as the tree of its attributes.

    Functional group macros stand below both functional groups sequences. An attribute in several modules has the
    strictest of its types. An unknown SOP class has an empty tree.

    Source
    ------
    PS3.3 Annex A (which modules) and Annex C (which attributes).
    """
    table = read_table("iod_types")
    iod = table["sop_classes"].get(sop_class_uid)
    trees = [_read(table["modules"][name]) for name in table["iod_modules"].get(iod, ())]
    macros = [_read(table["macros"][name]) for name in table["iod_macros"].get(iod, ())]
    if macros:
        groups = TypeNode(attribute_type=AttributeType.REQUIRED, children=_merge(macros))
        trees.append({SHARED_FUNCTIONAL_GROUPS: groups, PER_FRAME_FUNCTIONAL_GROUPS: groups})
    return TypeNode(children=_merge(trees))


def _read(tree: dict[str, Any]) -> dict[int, TypeNode]:
    """Return a tree of the table (a leaf is its type alone) as nodes."""
    nodes = {}
    for tag, entry in tree.items():
        attribute_type, children = (entry, {}) if isinstance(entry, str) else entry
        nodes[int(tag, 16)] = TypeNode(
            attribute_type=AttributeType(int(attribute_type[0])), children=_read(children)
        )
    return nodes


def _merge(trees: list[dict[int, TypeNode]]) -> dict[int, TypeNode]:
    """Return one tree of several: the strictest type and the children of all."""
    merged: dict[int, TypeNode] = {}
    for tree in trees:
        for tag, node in tree.items():
            known = merged.get(tag)
            merged[tag] = (
                node
                if known is None
                else TypeNode(
                    attribute_type=min(known.attribute_type, node.attribute_type),
                    children=_merge([known.children, node.children]),
                )
            )
    return merged
