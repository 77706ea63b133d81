"""One job in one process: whatever the child does, the caller gets a value or one kind of error, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from darkroom.isolation import Limits, run_isolated
from db.jobs import JobError, JobInterruptedError
from tests.darkroom.isolated_work import CANARY

GENEROUS = Limits(memory_bytes=1024**3, cpu_s=60, wall_s=60.0)
DEADLINE_S = 60.0


def run(
    name: str, *arguments: object, limits: Limits = GENEROUS, cancel: threading.Event | None = None
) -> object:
    target = f"tests.darkroom.isolated_work:{name}"
    return run_isolated(target, arguments, limits=limits, cancel=cancel or threading.Event())


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_pid(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def test_result_comes_back() -> None:
    """A value goes there and back."""
    assert run("add", 2, 3) == 5


def test_memory_hog_is_told_its_limit() -> None:
    """A job that takes all it can get fails alone, and is not tried again: it would need as much."""
    with pytest.raises(JobError, match="more than 256 MiB of memory") as caught:
        run("hog_memory", limits=Limits(memory_bytes=256 * 1024**2, cpu_s=60, wall_s=60.0))
    assert "worker.memory_bytes" in caught.value.hint
    assert not caught.value.retryable


def test_endless_loop_is_ended_by_processor_time() -> None:
    """A loop that never ends costs no more than its limit."""
    with pytest.raises(JobError, match="more than 1 s of processor time"):
        run("loop", limits=Limits(memory_bytes=1024**3, cpu_s=1, wall_s=60.0))


def test_hanging_child_is_ended_by_the_clock(tmp_path: Path) -> None:
    """A child that waits for ever uses no processor time, and is ended all the same."""
    with pytest.raises(JobError, match="longer than 1 s") as caught:
        run("sleep", str(tmp_path), limits=Limits(memory_bytes=1024**3, cpu_s=60, wall_s=1.0))
    assert caught.value.retryable
    assert not is_alive(read_pid(tmp_path / "child"))


@pytest.mark.parametrize(
    ("name", "words"),
    [("segfault", "SIGSEGV"), ("be_killed", "SIGKILL"), ("leave", "code 7")],
)
def test_death_is_named(name: str, words: str) -> None:
    """A child that dies without a word gives an error that says how."""
    with pytest.raises(JobError, match=words) as caught:
        run(name)
    assert caught.value.retryable


def test_foreign_exception_gives_type_and_place_only() -> None:
    """pydicom's texts may hold a patient's data; they stay in the child."""
    with pytest.raises(JobError) as caught:
        run("raise_foreign")
    assert "ValueError at darkroom.isolated_work:" in str(caught.value)
    assert CANARY not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("name", ["raise_pixel_error", "raise_key_file_error"])
def test_own_errors_keep_their_words(name: str) -> None:
    """What we wrote ourselves reaches the operator, and bad input is not tried again."""
    with pytest.raises(JobError, match=r"1\.2\.3 is cut short") as caught:
        run(name)
    assert caught.value.hint == "send it again"
    assert not caught.value.retryable


def test_job_error_keeps_whether_it_may_be_retried() -> None:
    """A processor can say itself that a later attempt may fare better."""
    with pytest.raises(JobError, match="come back later") as caught:
        run("raise_job_error")
    assert caught.value.retryable


def test_full_disk_is_named_without_its_path() -> None:
    """The system's reason is told, the file's name is not."""
    with pytest.raises(JobError, match="No space left on device") as caught:
        run("fill_the_disk")
    assert CANARY not in str(caught.value)
    assert caught.value.retryable


def test_answer_that_cannot_be_sent_is_an_error() -> None:
    """A processor that returns what cannot be pickled fails; it does not hang."""
    with pytest.raises(JobError, match="unexpected"):
        run("answer_with_lambda")


def test_child_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing that a library prints reaches the node's output."""
    run("speak")
    assert CANARY not in "".join(capfd.readouterr())


def test_child_is_modest() -> None:
    """A job yields to the node: processor, memory, and no core file with a patient's data."""
    assert run("circumstances") == {"nice": 10, "core": (0, 0), "leader": True, "oom": 500}


@pytest.mark.parametrize("then", ["return", "crash"])
def test_grandchildren_end_with_the_job(tmp_path: Path, then: str) -> None:
    """Programs that a job started do not outlive it, whether it ended well or not."""
    if then == "return":
        run("nurse", str(tmp_path), then)
    else:
        with pytest.raises(JobError, match="SIGSEGV"):
            run("nurse", str(tmp_path), then)
    wait_until(lambda: not is_alive(read_pid(tmp_path / "grandchild")))


def test_inherited_pipe_does_not_hide_a_death(tmp_path: Path) -> None:
    """A forked grandchild keeps the child's end of the pipe open; the child's death is seen all the same."""
    with pytest.raises(JobError, match="SIGSEGV"):
        run("fork_and_crash", str(tmp_path))
    wait_until(lambda: not is_alive(read_pid(tmp_path / "grandchild")))


def test_cancel_interrupts(tmp_path: Path) -> None:
    """A stopping worker gets its job back within moments, as interrupted and not as failed."""
    cancel = threading.Event()
    caught: list[BaseException] = []

    def work() -> None:
        try:
            run("nurse", str(tmp_path), "wait", cancel=cancel)
        except JobInterruptedError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    child = read_pid(tmp_path / "child")
    cancel.set()
    thread.join(DEADLINE_S)
    assert len(caught) == 1
    assert not is_alive(child)
    wait_until(lambda: not is_alive(read_pid(tmp_path / "grandchild")))


def test_child_ends_when_the_worker_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the worker no child goes on writing behind the back of the next one."""
    script = (
        "import threading\n"
        "from darkroom.isolation import Limits, run_isolated\n"
        f"run_isolated('tests.darkroom.isolated_work:nurse', ({str(tmp_path)!r}, 'wait'),"
        " limits=Limits(memory_bytes=2**30, cpu_s=60, wall_s=60.0), cancel=threading.Event())\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    pids = [read_pid(tmp_path / "child"), read_pid(tmp_path / "grandchild")]
    worker.kill()
    worker.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_many_at_once() -> None:
    """Threads that start and end children at the same time get their own answers."""
    answers: dict[int, object] = {}

    def work(number: int) -> None:
        answers[number] = run("add", number, number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert answers == {number: 2 * number for number in range(8)}
