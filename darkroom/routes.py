"""Routes: which processors a closed series goes to.

The rules are C-FIND's matching rules (PS3.4 C.2.2.2), by the same code that answers queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_VR

from darkroom.errors import RouteError
from db.conditions import matches, parse_condition
from db.errors import QueryError
from db.records import JobRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.settings import Route
    from db.conditions import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """The routes of a node, with their matching values read."""

    routes: tuple[tuple[Route, Mapping[str, Condition]], ...]

    def requests(self, attributes: Mapping[str, str]) -> list[JobRequest]:
        """Return the jobs for a series with these attributes (DICOM keyword to value), route by route."""
        return [
            JobRequest(route=route.name, processor=processor, parameters={"deidentify": route.deidentify})
            for route, conditions in self.routes
            if matches(conditions, attributes)
            for processor in route.processors
        ]


def read_routes(routes: Sequence[Route]) -> Router:
    """Return the router of the settings' routes.

    Raises
    ------
    RouteError
        If a matching value is not one that C-FIND understands; it names route and keyword.
    """
    return Router(routes=tuple((route, _read_match(route)) for route in routes))


def _read_match(route: Route) -> dict[str, Condition]:
    conditions = {}
    for keyword, value in route.match.items():
        try:
            conditions[keyword] = parse_condition(keyword, dictionary_VR(keyword), value)
        except QueryError as error:
            raise RouteError(f"Route {route.name}, {keyword}: {error}", hint=error.hint) from error
    return conditions
