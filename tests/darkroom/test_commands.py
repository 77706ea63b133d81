"""The commands: what each prints for people and for machines, and with which exit code it ends."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from importlib.metadata import version

import pytest
import structlog

from darkroom.archive import open_archive
from darkroom.remaking import compare, make
from db.job_states import JobError, RetryPolicy, begin, read_ticket, record_failure, record_result
from db.jobs import JobResult
from db.records import JobRequest, OutputRecord
from tests.series_factory import ct_series, part10

CANARY = "KANARIENVOGEL"
NIFTI = JobRequest(route="everything", processor="nifti", parameters={"deidentify": True})
PNG = JobRequest(route="everything", processor="png", parameters={"deidentify": True})


@pytest.fixture
def series_uid(darkroom):
    """A closed series of five instances, imported, with two queued jobs."""
    assert darkroom("import", str(darkroom.write(ct_series()))).code == 0
    return darkroom.close_series(NIFTI, PNG)


@pytest.fixture
def job_ids(darkroom, series_uid):
    """The IDs of the queued jobs: NIfTI, PNG."""
    jobs = sorted(darkroom("jobs", "--json").json, key=lambda job: job["processor"])
    return [job["job_id"] for job in jobs]


def _settle(darkroom, job_id, outcome):
    """Bring a queued job to its end, as a worker would."""
    with open_archive(darkroom.settings) as archive, archive.engines.write() as connection:
        ticket = read_ticket(connection, job_id)
        begin(connection, ticket, RetryPolicy(), time.time())
        if isinstance(outcome, JobError):
            record_failure(connection, ticket, outcome, time.time())
        else:
            record_result(connection, ticket, outcome, time.time())


@pytest.fixture
def stand_in(monkeypatch):
    """Run the tests' processor in place of the node's."""
    monkeypatch.setattr("darkroom.remaking.PROCESSOR", "tests.darkroom.remaking_jobs:run_job")


def test_import_counts_and_names_what_was_not_kept(darkroom):
    """People get the counts and the refused files; machines the same as JSON; a refusal is exit code 1."""
    folder = darkroom.write(ct_series())
    assert darkroom("import", str(folder)).out == (
        "5 stored, 0 already there, 0 in conflict, 0 refused, 0 skipped as not DICOM.\n"
    )
    (folder / "cut.dcm").write_bytes(part10(ct_series(name="other")[0])[:-10])
    (folder / "readme").write_text("no DICOM")
    answer = darkroom("import", str(folder), "--json")
    assert answer.code == 1
    assert {key: answer.json[key] for key in ("stored", "same", "conflict", "refused", "skipped")} == {
        "stored": 0,
        "same": 5,
        "conflict": 0,
        "refused": 1,
        "skipped": 1,
    }
    (refused,) = answer.json["not_kept"]
    assert refused["path"] == str(folder / "cut.dcm")
    assert "cut.dcm" in darkroom("import", str(folder)).out


def test_import_says_what_is_not_there(darkroom):
    """A folder that does not exist is refused, and nothing is kept."""
    answer = darkroom("import", str(darkroom.folder / "nothing"))
    assert answer.code == 3
    assert "There is no" in answer.err
    assert not list((darkroom.folder / "data" / "instances").rglob("*.dcm"))


def test_series_shows_state_evidence_and_jobs(darkroom, series_uid):
    """The ledger's line has everything that an operator asks after first, and nothing of the patient."""
    answer = darkroom("series")
    assert answer.code == 0
    for text in (
        series_uid,
        "CT",
        "complete",
        "All 5 instances that the headers count are here.",
        "2 queued",
    ):
        assert text in answer.out
    (entry,) = darkroom("series", "--json").json
    assert (entry["series_instance_uid"], entry["state"], entry["revision"]) == (series_uid, "complete", 1)
    assert [job["state"] for job in entry["jobs"]] == ["queued"] * 2
    one = darkroom("series", series_uid)
    assert all(text in one.out for text in (entry["study_instance_uid"], "nifti", "png", "evidence"))


def test_an_empty_ledger_and_an_unknown_series_are_said(darkroom):
    """Nothing there is a sentence; something asked for by name and not there is an error."""
    assert darkroom("series").out == "There are no series yet.\n"
    assert darkroom("series", "--json").json == []
    answer = darkroom("series", "1.2.3")
    assert (answer.code, answer.err) == (
        3,
        "error: There is no such series.\nhint: darkroom series lists them all.\n",
    )


def test_jobs_are_listed_by_state(darkroom, job_ids):
    """The list can be narrowed to one state, and its JSON has the whole record."""
    _settle(darkroom, job_ids[0], JobError("out of memory", hint="give it more"))
    failed = darkroom("jobs", "--state", "failed", "--json").json
    assert [(job["job_id"], job["error"], job["hint"]) for job in failed] == [
        (job_ids[0], "out of memory", "give it more")
    ]
    table = darkroom("jobs").out
    assert "out of memory" in table
    assert "queued" in table
    assert darkroom("jobs", "--state", "done").out == "There are no such jobs.\n"


def test_a_job_is_shown_by_the_beginning_of_its_id(darkroom, job_ids):
    """Any beginning that fits one job will do; one that fits none or several is an error."""
    assert darkroom("jobs", "show", job_ids[0][:8], "--json").json["job_id"] == job_ids[0]
    _settle(darkroom, job_ids[0], JobError("out of memory", hint="give it more"))
    shown = darkroom("jobs", "show", job_ids[0]).out
    assert all(text in shown for text in (job_ids[0], "out of memory", "give it more", "deidentify = True"))
    assert darkroom("jobs", "show", "zzz").code == 3
    assert "More than one" in darkroom("jobs", "show", "").err


def test_failed_jobs_are_restarted(darkroom, job_ids):
    """One by its ID, or all: they are queued again, with their tries at nought; others cannot be restarted."""
    for job_id in job_ids:
        _settle(darkroom, job_id, JobError("out of memory"))
    assert darkroom("jobs", "retry", job_ids[0], "--json").json == {"retried": [job_ids[0]]}
    assert darkroom("jobs", "retry", "--all").out == "1 restarted; a running node does them.\n"
    assert [(job["state"], job["tries"]) for job in darkroom("jobs", "--json").json] == [("queued", 0)] * 2
    answer = darkroom("jobs", "retry", job_ids[0])
    assert answer.code == 3
    assert "has not failed" in answer.err
    assert darkroom("jobs", "retry").code == 3
    assert darkroom("jobs", "retry", job_ids[0], "--all").code == 3


def test_verify_tells_whole_from_damaged(darkroom, series_uid):
    """A whole store is exit code 0; one changed byte is exit code 1 and names the instance."""
    answer = darkroom("verify")
    assert answer.code == 0
    assert "all as they were acknowledged" in answer.out
    with open_archive(darkroom.settings) as archive:
        victim = next(archive.index.all_instances())
        path = archive.store.path(victim.file.key)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        orphan = archive.store.put(
            b"x", sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid="1.2.840.10008.1.2"
        )
        os.utime(archive.store.path(orphan.key), (0, 0))
    answer = darkroom("verify")
    assert answer.code == 1
    assert victim.sop_instance_uid in answer.out
    assert "1 files belong to no instance" in answer.out
    found = darkroom("verify", "--json").json
    assert found["checked"] == 5
    assert [each["damage"] for each in found["damaged"]] == ["changed"]
    assert found["orphans"] == [orphan.key]


def test_check_config_names_faults_or_says_there_are_none(darkroom):
    """Right settings are exit code 0; wrong ones are exit code 2 with key and line, for machines too."""
    assert darkroom("check-config").out == f"{darkroom.file}: no faults\n"
    assert darkroom("check-config", "--json").json == {"file": str(darkroom.file), "faults": []}
    darkroom.configure("[node]\nprot = 104\n")
    answer = darkroom("check-config")
    assert answer.code == 2
    assert "line 5, node.prot" in answer.err
    (fault,) = darkroom("check-config", "--json").json["faults"]
    assert (fault["key"], fault["line"]) == ("node.prot", 5)


def test_check_config_reads_the_file_that_the_node_would(darkroom, monkeypatch):
    """Without a file given it takes $DARKROOM_CONFIG's, and says so if there is none at all."""
    monkeypatch.setattr("config.settings.SYSTEM_FILE", darkroom.folder / "nothing")
    assert "all settings are the defaults" in darkroom.plain("check-config").out
    monkeypatch.setenv("DARKROOM_CONFIG", str(darkroom.file))
    assert darkroom.plain("check-config").out == f"{darkroom.file}: no faults\n"
    other = darkroom.folder / "other.toml"
    other.write_text("[node\n")
    assert darkroom.plain("check-config", str(other)).code == 2


def test_check_config_reads_the_routes_values(darkroom):
    """A matching value that C-FIND would not understand is a fault of its route."""
    match = f'match = {{Modality = "{"M" * 2000}"}}'
    darkroom.configure(f'[[routes]]\nname = "r"\nprocessors = ["png"]\n{match}\n')
    answer = darkroom("check-config")
    assert answer.code == 2
    assert "routes[0].match" in answer.err


def test_version_is_the_distributions(darkroom):
    """The version is printed plainly, and as JSON."""
    assert darkroom.plain("version").out == version("dicom-darkroom") + "\n"
    assert darkroom.plain("version", "--json").json == {"version": version("dicom-darkroom")}
    assert darkroom.plain("--version").out == version("dicom-darkroom") + "\n"


def test_serve_tells_a_taken_port_in_one_line(darkroom):
    """A port that another program has is one clear line with exit code 3, and the archive is closed again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        darkroom.configure(f"[node]\nport = {taken.getsockname()[1]}\n")
        answer = darkroom("serve")
    assert answer.code == 3
    assert answer.err.splitlines()[-2].endswith("Address already in use.")
    assert "node.port" in answer.err.splitlines()[-1]
    assert "Traceback" not in answer.err
    assert darkroom("series").code == 0


def test_export_writes_into_the_operators_folder(darkroom, series_uid, stand_in):
    """The chosen processors run on the last revision; their files and findings are named, nothing is recorded."""
    out = darkroom.folder / "mine"
    answer = darkroom("export", series_uid, "--processor", "png", "nifti", "--out", str(out), "--json")
    assert answer.code == 0
    assert answer.json["outputs"] == [str(out / "1.2/1.2.3/r1" / name) for name in ("png.out", "nifti.out")]
    assert (out / "1.2/1.2.3/r1/png.out").read_text() == "png {'deidentify': True} 5"
    assert sorted(path.name for path in out.iterdir()) == ["1.2"]
    assert "finding: Slice 3 is missing." in darkroom("export", series_uid, "--out", str(out)).out
    assert all(not job["outputs"] for job in darkroom("jobs", "--json").json)


def test_export_keeps_the_identity_only_when_told_to(darkroom, series_uid, stand_in):
    """De-identification is the default; leaving it out has to be asked for."""
    out = darkroom.folder / "mine"
    assert darkroom("export", series_uid, "--processor", "png", "--identified", "--out", str(out)).code == 0
    assert (out / "1.2/1.2.3/r1/png.out").read_text() == "png {'deidentify': False} 5"


def test_export_says_why_it_cannot(darkroom, stand_in):
    """An unknown series, one that is still receiving, and a processor that fails are one clear line each."""
    assert "no such series" in darkroom("export", "1.2.3").err
    darkroom("import", str(darkroom.write(ct_series())))
    (entry,) = darkroom("series", "--json").json
    assert "still receiving" in darkroom("export", entry["series_instance_uid"]).err
    uid = darkroom.close_series()
    answer = darkroom("export", uid, "--processor", "dicom", "--out", str(darkroom.folder / "mine"))
    assert answer.code == 3
    assert "the codestream is cut short" in answer.err
    assert list((darkroom.folder / "mine").iterdir()) == []


def test_replay_compares_with_what_was_recorded(darkroom, job_ids, stand_in, tmp_path):
    """Equal bytes are exit code 0; other bytes, a lost output or a new one are exit code 1, each named as such."""
    staging = tmp_path / "staging"
    staging.mkdir()
    with open_archive(darkroom.settings) as archive:
        record = archive.queue.job(job_ids[0])
    made = make(record, darkroom.settings, staging)
    assert "Only a job that is done" in darkroom("replay", job_ids[0]).err
    (new,) = compare(record, made, staging)
    output = OutputRecord(path=new.path, kind="nifti", sha256=new.made_sha256, size_bytes=1)
    lost = dataclasses.replace(output, path="everything/lost")
    _settle(darkroom, job_ids[0], JobResult(outputs=(output,)))
    answer = darkroom("replay", job_ids[0])
    assert (answer.code, "1 of 1 are equal" in answer.out) == (0, True)
    _settle(darkroom, job_ids[1], JobResult(outputs=(lost,)))
    answer = darkroom("replay", job_ids[1], "--json")
    assert answer.code == 1
    assert [(each["path"], each["likeness"]) for each in answer.json["outputs"]] == [
        ("everything/1.2/1.2.3/r1/png.out", "new"),
        ("everything/lost", "missing"),
    ]
    wrong = dataclasses.replace(output, sha256="0" * 64)
    assert [
        each.likeness for each in compare(dataclasses.replace(record, outputs=(wrong,)), made, staging)
    ] == ["different"]


def test_what_libraries_say_does_not_get_between(darkroom, series_uid):
    """Whatever a part below logs while a command runs goes to standard error; the JSON stays whole."""
    darkroom("series")
    structlog.get_logger().warning("peer host name not resolved")
    structlog.get_logger().info("too quiet for a command")
    printed = darkroom.capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1


def test_no_command_but_find_shows_the_patient(darkroom, stand_in):
    """A planted patient is in no table and no JSON of the other commands."""
    datasets = ct_series()
    for dataset in datasets:
        dataset.PatientName = dataset.PatientID = dataset.StudyDescription = dataset.SeriesDescription = (
            CANARY
        )
    folder = darkroom.write(datasets)
    printed = [darkroom("import", str(folder))]
    uid = darkroom.close_series(NIFTI)
    (job,) = darkroom("jobs", "--json").json
    commands: list[list[str]] = [
        ["series"],
        ["series", uid],
        ["series", "--json"],
        ["jobs"],
        ["jobs", "show", job["job_id"]],
        ["verify"],
        ["export", uid, "--out", str(darkroom.folder / "mine")],
    ]
    printed += [darkroom(*command) for command in commands]
    assert all(answer.code == 0 for answer in printed)
    assert not any(CANARY in answer.out + answer.err for answer in printed)
