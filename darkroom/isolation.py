"""One job in one process: a fresh child with limits on memory and time, from which nothing comes back but its result.

Codecs read bytes that strangers sent; what they do must not take the worker down. The child is forked from a
server that has the heavy imports loaded and nothing else (no index, no threads, no connections), so it starts in
some 30 ms with a clean state.

::

    worker ──── lifeline ────> child     its end closes when the worker dies, however it dies: the child's group is killed
    worker <─── answer ─────── child     one value, the result or the reason
    worker ──── SIGKILL ─────> child's process group, always, at the end: grandchildren end with the job
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import multiprocessing
import os
import resource
import signal
import threading
import time
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import DarkroomError
from db.errors import DbError
from db.jobs import JobError, JobInterruptedError
from processing.errors import ProcessingError

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from typing import Any

PRELOADED = ("numpy", "pydicom", "config.settings", "darkroom.isolation")
"""What the children's server imports before the first job; what cannot be imported is left out."""

_LOOK_S = 0.25
_DYING_S = 5.0
_HARD_CPU_S = 5
_NICE = 10
_PR_SET_PDEATHSIG = 1
_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)
_KILLED_HINT = "the machine may be short of memory; see the kernel's log, and lower worker.processes"

# multiprocessing looks after all children whenever it starts one, and two threads that ask for one child's exit code
# at the same time may both get a wrong one.
_BOOKKEEPING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one job may take."""

    memory_bytes: int
    """Address space beyond what the bare process has."""
    cpu_s: int
    """Processor time of each of its processes."""
    wall_s: float
    """Time on the clock, with all its children."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a child says at its end; `error` is set if it failed."""

    value: Any = None
    error: str | None = None
    hint: str = ""
    retryable: bool = False
    out_of_memory: bool = False


def run_isolated(target: str, arguments: tuple[Any, ...], *, limits: Limits, cancel: threading.Event) -> Any:
    """Run a function in a child process and return its result.

    Parameters
    ----------
    target
        ``module:function``, imported in the child only.
    arguments
        Values that can be pickled, as the result must be.
    limits
        What the child and its children may take.
    cancel
        Ends the child when it is set.

    Raises
    ------
    JobInterruptedError
        If `cancel` was set.
    JobError
        If the function failed, or the child broke a limit or died; it says which. Texts of exceptions that are not
        ours are left out, since they may hold values of the data set.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, target.partition(":")[0]])
    ours, theirs = context.Pipe()
    with ours:
        process = context.Process(target=_child, args=(theirs, target, arguments, limits), daemon=True)
        with _BOOKKEEPING:
            process.start()
        theirs.close()  # so that ours ends when the child does
        try:
            answer = _await_answer(process, ours, limits, cancel)
        finally:
            _kill_group(process)
    if answer is None:
        raise _death(process.exitcode, limits)
    return _unwrap(answer, limits)


def _await_answer(
    process: BaseProcess, pipe: Connection, limits: Limits, cancel: threading.Event
) -> _Answer | None:
    """Return the child's answer, or None if it died without one."""
    deadline = time.monotonic() + limits.wall_s
    while not (ready := wait([pipe, process.sentinel], timeout=_LOOK_S)):
        if cancel.is_set():
            raise JobInterruptedError("the worker is stopping")
        if time.monotonic() > deadline:
            raise JobError(
                f"the job took longer than {limits.wall_s:g} s",
                hint="raise worker.wall_s if the machine is slow; the job may also hang",
                retryable=True,
            )
    if pipe not in ready:
        _kill_group(process)  # or a grandchild that inherited the pipe would keep it open
    try:
        answer: _Answer = pipe.recv()
    except (EOFError, ConnectionError):
        wait([process.sentinel], timeout=_DYING_S)  # how it died is the reason
        return None
    return answer


def _kill_group(process: BaseProcess) -> None:
    """Kill the child and whatever it started."""
    # A child that answered still lives, so its number cannot belong to anybody else by now.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    if not wait([process.sentinel], timeout=0):
        process.kill()  # it may not have made its group yet
    wait([process.sentinel])
    with _BOOKKEEPING:
        process.join()


def _unwrap(answer: _Answer, limits: Limits) -> Any:
    if answer.out_of_memory:
        raise JobError(
            f"the job needed more than {limits.memory_bytes / 1024**2:.0f} MiB of memory",
            hint="raise worker.memory_bytes if the machine has more",
        )
    if answer.error is not None:
        raise JobError(answer.error, hint=answer.hint, retryable=answer.retryable)
    return answer.value


def _death(exit_code: int | None, limits: Limits) -> JobError:
    if exit_code == -signal.SIGXCPU:
        return JobError(
            f"the job took more than {limits.cpu_s} s of processor time",
            hint="raise worker.cpu_s if that is expected",
        )
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = _KILLED_HINT if exit_code == -signal.SIGKILL else "a codec may have crashed on the input"
        return JobError(f"the job's process was ended by {name}", hint=hint, retryable=True)
    return JobError(f"the job's process ended with code {exit_code} and no result", retryable=True)


def _child(pipe: Connection, target: str, arguments: tuple[Any, ...], limits: Limits) -> None:
    """Run in the child: limit itself, do the work, answer, and wait to be killed."""
    _confine(pipe, limits)
    answer = _work(target, arguments)
    try:
        pipe.send(answer)
    except Exception as error:  # noqa: BLE001 - whatever a result's parts raise while they are pickled
        pipe.send(_unexpected(error))
    # The worker kills the whole group now. A child that left first would leave its number to somebody else.
    threading.Event().wait()


def _confine(pipe: Connection, limits: Limits) -> None:
    os.setsid()
    _die_with_parent()
    threading.Thread(target=_watch_lifeline, args=(os.dup(pipe.fileno()),), daemon=True).start()
    _silence()
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # a service manager may send it to all; the worker says what it means
    os.nice(_NICE)  # the disk's schedulers derive their priority from it
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")  # when memory runs out, a job goes first
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's data
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + _HARD_CPU_S))
    most = _address_space_bytes() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _work(target: str, arguments: tuple[Any, ...]) -> _Answer:
    try:
        module, _, name = target.partition(":")
        return _Answer(value=getattr(import_module(module), name)(*arguments))
    except MemoryError:
        return _Answer(error="out of memory", out_of_memory=True)
    except JobError as error:
        return _Answer(error=str(error), hint=error.hint, retryable=error.retryable)
    except (ProcessingError, DarkroomError) as error:
        return _Answer(error=str(error), hint=error.hint)
    except DbError as error:
        return _Answer(error=str(error), hint=error.hint, retryable=True)
    except OSError as error:
        return _system_failure(error)
    except Exception as error:  # noqa: BLE001 - the job boundary: whatever it is, it ends this job only
        return _unexpected(error)


def _system_failure(error: OSError) -> _Answer:
    if error.errno is None:
        return _unexpected(error)
    if error.errno == errno.ENOMEM:
        return _Answer(error="out of memory", out_of_memory=True)
    hint = "free space in the export folder" if error.errno in _OUT_OF_SPACE else ""
    return _Answer(error=f"the system refused: {os.strerror(error.errno)}", hint=hint, retryable=True)


def _unexpected(error: Exception) -> _Answer:
    found = JobError.unexpected(error)
    return _Answer(error=str(found), hint=found.hint, retryable=found.retryable)


def _die_with_parent() -> None:
    # The parent is the children's server, which ends when the worker does. It works even while a codec holds the GIL.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _watch_lifeline(descriptor: int) -> None:
    """Kill the own group when the worker is gone; nothing else ever arrives at or closes this end."""
    with contextlib.suppress(OSError):
        os.read(descriptor, 1)
    os.killpg(0, signal.SIGKILL)


def _silence() -> None:
    # What libraries print may hold values of the data set; the job speaks by its result.
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
