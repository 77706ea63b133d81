"""``darkroom find``: the one command that shows patients' data, to the operator at the terminal."""

import re
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from darkroom.commands.options import AsJson, ConfigFile, read_settings

if TYPE_CHECKING:
    from db.conditions import Condition
    from db.query import Query
    from db.records import Level

LevelName = Literal["patient", "study", "series", "image"]

_SHOWN: dict[LevelName, tuple[str, ...]] = {
    "patient": (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "NumberOfPatientRelatedStudies",
    ),
    "study": (
        "PatientID",
        "PatientName",
        "StudyDate",
        "ModalitiesInStudy",
        "StudyDescription",
        "NumberOfStudyRelatedInstances",
        "StudyInstanceUID",
    ),
    "series": (
        "PatientID",
        "StudyDate",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
        "SeriesInstanceUID",
    ),
    "image": ("SeriesInstanceUID", "InstanceNumber", "SOPClassUID", "Rows", "Columns", "SOPInstanceUID"),
}


def find(
    *keys: str,
    level: LevelName = "study",
    show: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    limit: int | None = None,
    config: ConfigFile = None,
    json: AsJson = False,
) -> int:
    """Search the index by the matching rules of C-FIND. It prints patients' data.

    Parameters
    ----------
    keys
        Conditions as KEYWORD=VALUE: PatientName=MUL*, StudyDate=20240101-20240630, ModalitiesInStudy=CT. All must match.
    level
        What is searched for.
    show
        The attributes to show, by their DICOM keywords.
    limit
        Show at most so many.
    """
    from darkroom.archive import open_archive
    from darkroom.console import print_json, print_table
    from db.query import search

    query = _read_query(keys, level, show)
    with open_archive(read_settings(config)) as archive:
        found = [match.values for match in islice(search(archive.engines, query), limit)]
    if json:
        print_json(found)
    else:
        rows = [[values[keyword] for keyword in query.returned] for values in found]
        titles = {keyword: _title(keyword) for keyword in query.returned}
        whole = [title for keyword, title in titles.items() if keyword.endswith("InstanceUID")]
        print_table(list(titles.values()), rows, empty="Nothing matches.", whole=whole)
    return 0


def _title(keyword: str) -> str:
    """Return a keyword in words, so that a column's title can be broken."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword)


def _read_query(keys: tuple[str, ...], level: LevelName, show: list[str] | None) -> "Query":
    """Return the query that the arguments write.

    Raises
    ------
    RequestError
        If a keyword cannot be asked for at this level.
    QueryError
        If a value cannot be understood.
    """
    from db.query import Query, Root
    from db.records import Level

    at = Level(level.upper())
    conditions = dict(_read_condition(key, at) for key in keys)
    returned = dict.fromkeys((*(show or _SHOWN[level]), *conditions))
    for keyword in returned:
        _check_keyword(keyword, at)
    return Query(level=at, root=Root.PATIENT, conditions=conditions, returned=tuple(returned))


def _read_condition(key: str, level: "Level") -> "tuple[str, Condition]":
    from darkroom.errors import RequestError
    from db.conditions import parse_condition
    from db.query import ATTRIBUTES, can_match

    keyword, separator, value = key.partition("=")
    if not separator:
        raise RequestError("A condition is written KEYWORD=VALUE.", hint="For example PatientID=4711.")
    _check_keyword(keyword, level)
    if not can_match(keyword):
        raise RequestError(f"{keyword} can be shown but not searched for.")
    return keyword, parse_condition(keyword, ATTRIBUTES[keyword].vr, value)


def _check_keyword(keyword: str, level: "Level") -> None:
    from difflib import get_close_matches

    from darkroom.errors import RequestError
    from db.query import ATTRIBUTES, can_answer

    if can_answer(keyword, level):
        return
    known = [each for each in ATTRIBUTES if can_answer(each, level)]
    near = get_close_matches(keyword, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
    raise RequestError(
        f"The index cannot answer that attribute at the level {level.value.lower()}.", hint=hint
    )
