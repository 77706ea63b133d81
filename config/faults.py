"""What is wrong with a settings file, said so that its owner can mend it.

::

    SettingsError        one or more faults, all of them at once
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from config.lines import Place, line_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong. It names the key, never the value: values may be secrets or names."""

    key: str
    """The way to the key, ``peers[0].port``; empty where the file as a whole is meant."""
    line: int | None
    """Counted from 1; None where no line can be named."""
    message: str


class SettingsError(Exception):
    """The settings cannot be used.

    Attributes
    ----------
    faults
        All of them, in the order of the file.
    path
        The file, or None where the settings came from none.
    hint
        What the operator can do about it.
    """

    def __init__(self, faults: Iterable[Fault], *, path: Path | None = None, hint: str = "") -> None:
        self.faults = tuple(faults)
        self.path = path
        self.hint = hint or "Every key with its unit and default stands in config/default.toml."
        count = len(self.faults)
        super().__init__(f"The settings have {count} fault{'' if count == 1 else 's'}.")


def key_path(place: Place) -> str:
    """Return a place as the operator writes it, ``routes[1].match.Modality``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def fault_at(place: Place, message: str, lines: Mapping[Place, int]) -> Fault:
    """Return the fault at a place, with its line where one is known."""
    return Fault(key=key_path(place), line=line_of(place, dict(lines)), message=message)


def sentence(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Return one of pydantic's errors as a plain sentence that does not repeat the value."""
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(error["loc"], model)
    if kind == "value_error":
        return str(context["error"])
    return _SENTENCES.get(kind, "This value cannot be used here.").format_map(_Blank(context))


class _Blank(dict[str, Any]):
    """The context of an error, with a blank for what it lacks."""

    def __missing__(self, key: str) -> str:
        return ""


_SENTENCES = {
    "missing": "This key is required.",
    "int_type": "A whole number is expected.",
    "int_from_float": "A whole number is expected.",
    "float_type": "A number is expected.",
    "finite_number": "A finite number is expected.",
    "bool_type": "true or false is expected, without quotes.",
    "string_type": "A text in quotes is expected.",
    "path_type": "A path in quotes is expected.",
    "tuple_type": "A list in square brackets is expected.",
    "dict_type": "A table of keys and values is expected.",
    "model_type": "A table of keys and values is expected.",
    "greater_than": "It must be more than {gt}.",
    "greater_than_equal": "It must be {ge} or more.",
    "less_than": "It must be less than {lt}.",
    "less_than_equal": "It must be {le} or less.",
    "literal_error": "It must be one of {expected}.",
}


def _unknown_key(place: Place, model: type[BaseModel]) -> str:
    """Return the sentence for a key that does not exist, with the nearest one that does."""
    name = str(place[-1])
    siblings = {key_path(found[-1:]): found for found in _known(model) if found[:-1] == _names(place)[:-1]}
    others = {str(found[-1]): key_path(found) for found in _known(model)}
    if near := difflib.get_close_matches(name, siblings, n=1):
        return f"There is no such key. Did you mean {near[0]}?"
    if near := difflib.get_close_matches(name, others, n=1):
        return f"There is no such key here. Did you mean {others[near[0]]}?"
    return "There is no such key. Known here: " + ", ".join(sorted(siblings)) + "."


def _names(place: Place) -> Place:
    return tuple(part for part in place if isinstance(part, str))


def _known(model: type[BaseModel], above: Place = ()) -> Iterator[Place]:
    """Yield the places of all keys of a model and of the models in it, positions in arrays left out."""
    for name, field in model.model_fields.items():
        yield (*above, name)
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _known(inner, (*above, name))
