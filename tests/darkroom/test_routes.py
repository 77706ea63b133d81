"""Routes: the rules of C-FIND decide which processors a series goes to."""

from __future__ import annotations

import pytest

from config.settings import Route
from darkroom.errors import RouteError
from darkroom.routes import read_routes

HEAD_CT = {"Modality": "CT", "BodyPartExamined": "HEAD", "StudyDescription": "CCT"}


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"Modality": "CT"}, True),
        ({"Modality": "MR"}, False),
        ({"Modality": "CT", "BodyPartExamined": "HE*"}, True),
        ({"Modality": "CT", "BodyPartExamined": "KNEE"}, False),
        ({"StudyDescription": "?CT"}, True),
        ({"StationName": "ROOM1"}, False),
    ],
)
def test_series_goes_where_all_values_match(match, fits):
    """Every value of a route must match, wildcards as in C-FIND; an absent attribute matches no value."""
    router = read_routes([Route(name="one", match=match, processors=("nifti",))])
    assert bool(router.requests(HEAD_CT)) is fits


def test_every_matching_route_gives_its_jobs():
    """A series goes to all routes that match, each processor a job, with the route's own parameters."""
    router = read_routes(
        [
            Route(name="all", processors=("nifti", "png")),
            Route(name="research", match={"Modality": "CT"}, processors=("dicom",), deidentify=False),
            Route(name="mr", match={"Modality": "MR"}, processors=("nifti",)),
        ]
    )
    assert [(each.route, each.processor, each.parameters) for each in router.requests(HEAD_CT)] == [
        ("all", "nifti", {"deidentify": True}),
        ("all", "png", {"deidentify": True}),
        ("research", "dicom", {"deidentify": False}),
    ]


def test_unreadable_value_names_route_and_keyword(monkeypatch):
    """What C-FIND would refuse is refused when the node starts."""
    route = Route.model_construct(
        name="odd", match={"StudyDate": "yesterday"}, processors=("png",), deidentify=True
    )
    with pytest.raises(RouteError, match="odd, StudyDate"):
        read_routes([route])
