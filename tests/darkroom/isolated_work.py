"""What the tests let a child do."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from darkroom.errors import KeyFileError
from db.jobs import JobError
from processing.errors import PixelError

CANARY = "CANARY^PATIENT"


def add(left: int, right: int) -> int:
    return left + right


def hog_memory() -> int:
    hoard = []
    while True:
        hoard.append(bytearray(16 * 1024 * 1024))


def loop() -> None:
    while True:
        pass


def sleep(folder: str) -> None:
    Path(folder, "child").write_text(str(os.getpid()))
    time.sleep(600)


def segfault() -> None:
    ctypes.string_at(0)


def leave() -> None:
    os._exit(7)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def raise_foreign() -> None:
    raise ValueError(CANARY)


def raise_pixel_error() -> None:
    raise PixelError("the codestream of 1.2.3 is cut short", hint="send it again")


def raise_key_file_error() -> None:
    raise KeyFileError("the codestream of 1.2.3 is cut short", hint="send it again")


def raise_job_error() -> None:
    raise JobError("come back later", hint="wait", retryable=True)


def fill_the_disk() -> None:
    raise OSError(28, "No space left on device", f"/{CANARY}")


def answer_with_lambda() -> object:
    return lambda: None


def speak() -> None:
    os.write(1, CANARY.encode())
    os.write(2, CANARY.encode())


def nurse(folder: str, then: str) -> int:
    """Start a grandchild that outlives its parent if nobody ends it, then go on as told."""
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(folder, "grandchild").write_text(str(grandchild.pid))
    Path(folder, "child").write_text(str(os.getpid()))
    if then == "crash":
        segfault()
    elif then == "wait":
        time.sleep(600)
    return grandchild.pid


def fork_and_crash(folder: str) -> None:
    """Leave behind a process that holds every descriptor of this one, also the one for the answer."""
    grandchild = os.fork()
    if grandchild == 0:
        time.sleep(600)
    Path(folder, "grandchild").write_text(str(grandchild))
    segfault()


def circumstances() -> dict[str, object]:
    return {
        "nice": os.nice(0),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "leader": os.getpgid(0) == os.getpid(),
        "oom": int(Path("/proc/self/oom_score_adj").read_text()),
    }
