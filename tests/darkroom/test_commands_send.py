"""The send command, over a real association with another node."""

from __future__ import annotations

import socket

import pytest

from tests.scp.nodes import running_node
from tests.series_factory import ct_series


@pytest.fixture
def receiver(tmp_path):
    """Another node of this machine."""
    with running_node(tmp_path / "receiver", ae_title="RECEIVER") as node:
        yield node


def _name_peer(darkroom, port: int) -> None:
    darkroom.configure(
        f'[[peers]]\nname = "archive"\nae_title = "RECEIVER"\naddresses = ["127.0.0.1"]\nport = {port}\n'
        '[[peers]]\nname = "deaf"\nae_title = "DEAF"\naddresses = ["127.0.0.1"]\n'
    )


@pytest.fixture
def datasets(darkroom):
    """Five instances in the index."""
    datasets = ct_series()
    darkroom("import", str(darkroom.write(datasets)))
    return datasets


def test_a_study_arrives_byte_for_byte(darkroom, datasets, receiver):
    """Every instance of the study is sent once, though it was named twice, and arrives as it was stored."""
    _name_peer(darkroom, receiver.port)
    study, series = datasets[0].StudyInstanceUID, datasets[0].SeriesInstanceUID
    answer = darkroom("send", "archive", "--study", study, "--series", series, "--json")
    assert (answer.code, answer.json) == (0, {"completed": 5, "warning": 0, "failed": 0, "not_sent": []})
    with_uids = [dataset.SOPInstanceUID for dataset in datasets]
    assert sorted(each.sop_instance_uid for each in receiver.index.all_instances()) == sorted(with_uids)
    one = receiver.index.stored(with_uids[0])
    ours = darkroom.folder / "data" / "instances" / one.file.key[:2] / one.file.key
    assert ours.read_bytes() == receiver.store.path(one.file.key).read_bytes()


def test_what_the_peer_refuses_is_named(darkroom, datasets, receiver):
    """One instance that the peer has with other bytes fails, with its status; the others arrive; exit code 1."""
    _name_peer(darkroom, receiver.port)
    uid = datasets[0].SOPInstanceUID
    assert darkroom("send", "archive", "--instance", uid).out == "1 completed, 0 warning, 0 failed.\n"
    datasets[0].InstanceNumber = 99
    other = darkroom.folder / "other"
    other.mkdir()
    darkroom_of_other = type(darkroom)(other, darkroom.capsys)
    darkroom_of_other.configure(darkroom.file.read_text().partition("free_fraction = 0.0\n")[2])
    darkroom_of_other("import", str(darkroom_of_other.write(datasets)))
    answer = darkroom_of_other("send", "archive", "--study", datasets[0].StudyInstanceUID, "--json")
    assert answer.code == 1
    assert (answer.json["completed"], answer.json["failed"]) == (4, 1)
    (refused,) = answer.json["not_sent"]
    assert refused["sop_instance_uid"] == uid
    assert refused["status"].startswith("0x")
    assert uid in darkroom_of_other("send", "archive", "--instance", uid).out


def test_a_peer_that_does_not_listen_fails_each_instance(darkroom, datasets):
    """Nothing is lost and nothing hangs: the reason is told, with exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    _name_peer(darkroom, port)
    answer = darkroom("send", "archive", "--study", datasets[0].StudyInstanceUID, "--json")
    assert (answer.code, answer.json["failed"]) == (1, 5)
    assert all("cannot be reached" in each["reason"] for each in answer.json["not_sent"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nobody", "--study", "1.2"], "There are: archive, deaf."),
        (["deaf", "--study", "1.2"], "Give it a port"),
        (["archive", "--study", "1.2"], "There is nothing to send."),
        (["archive"], "There is nothing to send."),
    ],
)
def test_a_request_that_cannot_be_met_is_explained(darkroom, arguments, says):
    """An unknown peer, one that does not listen, or nothing to send: one line and a hint, exit code 3."""
    _name_peer(darkroom, 11112)
    answer = darkroom("send", *arguments)
    assert answer.code == 3
    assert says in answer.err
