"""The find command: the rules of C-FIND, at the operator's terminal."""

from __future__ import annotations

import pytest

from tests.series_factory import ct_series, mr_series


@pytest.fixture
def filled(darkroom):
    """An index with a CT of one patient and an MR of another."""
    ct, mr = ct_series(), mr_series()
    for dataset in mr:
        dataset.PatientName, dataset.PatientID = "Müller^Änne", "M-2"
        dataset.StudyInstanceUID = "1.2.99"
        dataset.StudyDate = "20230115"
        dataset.SpecificCharacterSet = "ISO_IR 100"
    assert darkroom("import", str(darkroom.write(ct, "ct")), str(darkroom.write(mr, "mr"))).code == 0
    return darkroom


def test_a_study_is_found_by_name_and_date(filled):
    """Wildcards fold case and accents, and a range may be open: the same answers as C-FIND's."""
    for keys in (["PatientName=muller*"], ["StudyDate=-20231231"], ["ModalitiesInStudy=MR", "PatientID=M-2"]):
        (found,) = filled("find", *keys, "--json").json
        assert (found["PatientName"], found["StudyInstanceUID"]) == ("Müller^Änne", "1.2.99")
        assert found["NumberOfStudyRelatedInstances"] == "5"
    assert "Müller^Änne" in filled("find", "PatientID=M-2").out


@pytest.mark.parametrize(("level", "count"), [("patient", 2), ("study", 2), ("series", 2), ("image", 10)])
def test_every_level_has_its_table(filled, level, count):
    """Without conditions everything of the level is found, with columns that fit it."""
    assert len(filled("find", "--level", level, "--json").json) == count
    assert filled("find", "--level", level).code == 0


def test_what_is_shown_and_how_much_can_be_chosen(filled):
    """--show names the columns, and an attribute that is searched for is shown as well; --limit ends the search."""
    found = filled("find", "PatientSex=", "--show", "PatientID", "StudyDate", "--limit", "1", "--json").json
    assert [list(values) for values in found] == [["PatientID", "StudyDate", "PatientSex"]]


def test_nothing_found_is_a_sentence(filled):
    """No match is no error: a sentence for people, an empty list for machines."""
    assert filled("find", "PatientID=nobody").out == "Nothing matches.\n"
    assert filled("find", "PatientID=nobody", "--json").json == []


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (["PatientNam=X"], "Did you mean PatientName?"),
        (["Modality=CT"], "Did you mean ModalitiesInStudy?"),
        (["PatientName"], "KEYWORD=VALUE"),
        (["NumberOfStudyRelatedInstances=3"], "not searched for"),
        (["StudyDate=yesterday"], "StudyDate"),
        (["--show", "Rows"], "There are: PatientID"),
    ],
)
def test_a_query_that_cannot_be_understood_is_explained(filled, keys, says):
    """A wrong keyword, level or value is one line and a hint, exit code 3, and repeats no value."""
    answer = filled("find", *keys)
    assert answer.code == 3
    assert says in answer.err


def test_a_value_cannot_steer_the_terminal(darkroom):
    """Control characters of a header are shown as what they are not: harmless."""
    (dataset, *_) = ct_series()
    dataset.StudyDescription = "red \x1b[31malert"
    darkroom("import", str(darkroom.write([dataset])))
    assert "\x1b" not in darkroom("find", "--show", "StudyDescription").out
