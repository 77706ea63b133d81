"""C-FIND over real associations: the index as a peer sees it."""

from __future__ import annotations

import subprocess

import pydicom
import pytest

from config.settings import Network
from db.errors import StoreError
from scp import find
from scp.caller import Caller
from scp.errors import AssociationError, ResponseError
from scp.peers import Destination
from scp.request import PATIENT_ROOT_FIND, query_peer
from tests.scp.nodes import (
    EXPLICIT,
    IMPLICIT,
    STUDY_FIND,
    association,
    build_context,
    ct_dataset,
    peer,
    running_node,
    storage,
    store_dataset,
)
from tests.series_factory import CANARY_ID, CANARY_NAME, ct_series
from tests.witnesses import dcmtk

FIND = build_context(STUDY_FIND, [EXPLICIT, IMPLICIT])


def _identifier(level: str, **keys: str) -> pydicom.Dataset:
    identifier = pydicom.Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _store(node, *datasets):
    with association(node, storage()) as opened:
        for dataset in datasets:
            assert store_dataset(opened, dataset)[1] == 0x0000


def _find(node, identifier, context=FIND):
    with association(node, [context]) as opened:
        return list(opened.send_c_find(identifier, context.abstract_syntax))


@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.2"])
def test_what_is_stored_is_found(node, transfer_syntax_uid):
    """The keys asked for come back, in each encoding of identifiers."""
    dataset = ct_dataset()
    _store(node, dataset)
    context = build_context(STUDY_FIND, [transfer_syntax_uid])
    query = _identifier("STUDY", PatientID=CANARY_ID, PatientName="", StudyInstanceUID="", StudyDate="")
    (pending, match), (final, _) = _find(node, query, context)
    assert (pending.Status, final.Status) == (0xFF00, 0x0000)
    assert match.StudyInstanceUID == dataset.StudyInstanceUID
    assert (match.PatientID, match.PatientName, match.StudyDate) == (
        CANARY_ID,
        CANARY_NAME,
        dataset.StudyDate,
    )
    assert match.QueryRetrieveLevel == "STUDY"


def test_nothing_found_is_success(node):
    """No match, one response."""
    ((final, match),) = _find(node, _identifier("STUDY", PatientID="NOBODY"))
    assert (final.Status, match) == (0x0000, None)


def test_an_unsupported_key_is_a_warning_in_each_match(node):
    """0xFF01: an optional key is not supported for existence (PS3.4 C.4.1.1.4)."""
    _store(node, ct_dataset())
    (pending, _), (final, _) = _find(node, _identifier("STUDY", StudyInstanceUID="", EthnicGroup=""))
    assert (pending.Status, final.Status) == (0xFF01, 0x0000)


@pytest.mark.parametrize("identifier", [_identifier("GALAXY"), _identifier("PATIENT"), pydicom.Dataset()])
def test_a_query_that_cannot_be_understood_is_refused(node, identifier):
    """0xA900 with the reason, and the association goes on."""
    if not identifier:
        identifier.PatientID = "X"
    with association(node, [FIND]) as opened:
        ((final, _),) = opened.send_c_find(identifier, STUDY_FIND)
        assert final.Status == 0xA900
        assert final.ErrorComment
        assert [status.Status for status, _ in opened.send_c_find(_identifier("STUDY"), STUDY_FIND)] == [
            0x0000
        ]


def test_a_cancel_ends_it_between_two(node):
    """0xFE00 long before the last of many matches."""
    datasets = []
    for number in range(120):
        dataset = ct_dataset()
        dataset.SOPInstanceUID = f"2.25.{number + 1}"
        datasets.append(dataset)
    _store(node, *datasets)
    query = _identifier("IMAGE", SOPInstanceUID="", StudyInstanceUID=dataset.StudyInstanceUID)
    with association(node, [FIND]) as opened:
        statuses = []
        for status, _ in opened.send_c_find(query, STUDY_FIND, msg_id=3):
            if not statuses:
                opened.send_c_cancel(3, query_model=STUDY_FIND)
            statuses.append(status.Status)
        assert statuses[-1] == 0xFE00
        assert len(statuses) < 120
        assert opened.is_established


def test_a_broken_index_is_out_of_resources(node, monkeypatch):
    """An error in the middle of the answers ends them with a failure."""

    def fail(*_):
        raise StoreError("the index could not be read")
        yield

    monkeypatch.setattr(find, "search", fail)
    ((final, _),) = _find(node, _identifier("STUDY"))
    assert final.Status == 0xA700


def test_a_peer_without_the_right_cannot_query(tmp_path):
    """Its context is not accepted."""
    with (
        running_node(tmp_path / "data", peers=[peer("SENDER", rights=("echo", "store"))]) as node,
        association(node, [FIND, *storage()], calling="SENDER") as opened,
    ):
        assert [each.abstract_syntax for each in opened.accepted_contexts] == [storage()[0].abstract_syntax]


def _caller() -> Caller:
    return Caller("TESTSCU", Network(acse_timeout_s=5.0, dimse_timeout_s=5.0))


def _destination(node) -> Destination:
    return Destination(ae_title="DARKROOM", host=node.host, port=node.port)


def test_the_operator_queries_a_peer(node):
    """The node's own question is answered by a node."""
    datasets = ct_series(name="asked")
    _store(node, *datasets)
    query = _identifier("SERIES", SeriesInstanceUID="", StudyInstanceUID=datasets[0].StudyInstanceUID)
    (match,) = query_peer(_destination(node), query, _caller())
    assert match.SeriesInstanceUID == datasets[0].SeriesInstanceUID
    (patient,) = query_peer(
        _destination(node), _identifier("PATIENT", PatientID=""), _caller(), model=PATIENT_ROOT_FIND
    )
    assert patient.PatientID == CANARY_ID
    images = _identifier("IMAGE", SOPInstanceUID="", StudyInstanceUID=datasets[0].StudyInstanceUID)
    assert len(list(query_peer(_destination(node), images, _caller()))) == len(datasets)


def test_what_goes_wrong_with_a_query_is_told(tmp_path):
    """A refused query and a refused association are different errors."""
    peers = [peer("TESTSCU", rights=("find",))]
    with running_node(tmp_path / "data", peers=peers) as node:
        with pytest.raises(ResponseError) as caught:
            list(query_peer(_destination(node), _identifier("GALAXY"), _caller()))
        assert caught.value.code == 0xA900
        with pytest.raises(AssociationError):
            list(query_peer(_destination(node), _identifier("STUDY"), Caller("STRANGER", Network())))


@pytest.mark.witness
def test_dcmtk_finds_it(node, tmp_path):
    """DCMTK's findscu reads the answer."""
    dataset = ct_dataset()
    _store(node, dataset)
    command = [dcmtk("findscu"), "-S", "-X", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY"]
    command += ["-k", f"PatientID={CANARY_ID}", "-k", "StudyInstanceUID", node.host, str(node.port)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    (path,) = tmp_path.glob("rsp*.dcm")
    assert pydicom.dcmread(path).StudyInstanceUID == dataset.StudyInstanceUID
