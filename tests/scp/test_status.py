"""Errors become statuses in one place, and tell nothing of patients."""

from __future__ import annotations

import pytest

from db.errors import (
    DiskFullError,
    IdentityError,
    IndexStateError,
    MalformedDatasetError,
    QueryError,
    StoredFileError,
    StoreError,
)
from scp.contexts import Service
from scp.errors import (
    ConflictError,
    DestinationError,
    IncompleteRequestError,
    LowDiskError,
    MismatchError,
    NotAuthorisedError,
    SopClassError,
)
from scp.status import Outcome, outcome_of, read_tag, status_of, write_comment


@pytest.mark.parametrize(
    ("error", "service", "code"),
    [
        (NotAuthorisedError("x"), Service.FIND, 0x0124),
        (SopClassError("x"), Service.STORE, 0x0122),
        (IncompleteRequestError("x"), Service.STORE, 0x0212),
        (IdentityError("x"), Service.STORE, 0x0117),
        (MismatchError("x"), Service.STORE, 0xA900),
        (ConflictError("x"), Service.STORE, 0x0111),
        (LowDiskError("x"), Service.STORE, 0xA700),
        (DiskFullError("x"), Service.STORE, 0xA700),
        (StoreError("x"), Service.STORE, 0xA700),
        (StoredFileError("x"), Service.STORE, 0xA700),
        (StoreError("x"), Service.FIND, 0xA700),
        (StoreError("x"), Service.MOVE, 0xA701),
        (MalformedDatasetError("x"), Service.STORE, 0xC000),
        (QueryError("x"), Service.FIND, 0xA900),
        (QueryError("x"), Service.GET, 0xA900),
        (DestinationError("x"), Service.MOVE, 0xA801),
        (IndexStateError("x"), Service.STORE, 0x0110),
        (IndexStateError("x"), Service.FIND, 0xC001),
        (ZeroDivisionError("x"), Service.STORE, 0x0110),
        (ZeroDivisionError("x"), Service.GET, 0xC001),
    ],
)
def test_every_error_has_its_status(error, service, code):
    """The table of errors and statuses, case by case."""
    assert status_of(error, service).code == code


def test_foreign_errors_are_not_told():
    """An exception of a library may carry a patient's name; the peer gets a constant."""
    assert status_of(ValueError("Zwartkijker^Ottoline"), Service.STORE).comment == "Processing failure"


def test_a_query_error_names_the_offending_element():
    """The peer is told which element it was (PS3.7 C.4.3)."""
    status = status_of(QueryError("no", tag="(0008,0052)"), Service.FIND)
    assert status.offending_tag == (0x0008, 0x0052)
    assert status_of(QueryError("no"), Service.FIND).offending_tag is None


@pytest.mark.parametrize("text", ["", "(0008)", "(zzzz,0001)", "(0008,0052,0001)", "(10000,0001)"])
def test_what_is_no_tag_is_none(text):
    """A strange tag is left out rather than breaking the answer."""
    assert read_tag(text) is None


def test_comments_fit_their_element():
    """An LO of 64 characters, printable, without the value delimiter."""
    assert write_comment("a\\b\nc\x00dü") == "a?b c?d?"
    assert len(write_comment("x" * 100)) == 64


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0x0000, Outcome.COMPLETED),
        (0xB000, Outcome.WARNING),
        (0xB007, Outcome.WARNING),
        (0x0107, Outcome.WARNING),
        (0xA700, Outcome.FAILED),
        (0x0110, Outcome.FAILED),
        (0xC000, Outcome.FAILED),
        (0xFF00, Outcome.FAILED),
    ],
)
def test_outcome_of_a_response(code, outcome):
    """Success, warning, and everything else is failure."""
    assert outcome_of(code) is outcome
