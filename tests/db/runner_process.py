"""A worker's process as small as it can be, to be killed: runs jobs until its standard input ends.

Arguments: data folder, name of the handler, tries.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from db.engine import open_engines
from db.jobs import JobResult, JobRunner, RetryPolicy
from db.records import JobRecord, OutputRecord
from tests.job_factory import SOP_INSTANCE_UIDS


def main() -> None:
    folder, name, tries = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    def handle(record: JobRecord) -> JobResult:
        with (folder / f"begun-{record.job_id}").open("a") as begun:
            begun.write(f"{record.tries}\n")
        return HANDLERS[name](record)

    runner = JobRunner(open_engines(folder), policy=RetryPolicy(tries=tries, backoff_s=0.05), poll_s=0.1)
    runner.start(handle)
    sys.stdin.read()
    runner.stop()


def output_of(job_id: str) -> OutputRecord:
    return OutputRecord(
        path=f"{job_id}/volume.nii.gz",
        kind="nifti",
        sha256="0" * 64,
        size_bytes=1,
        inputs=tuple((uid, f"{uid}.1") for uid in SOP_INSTANCE_UIDS),
    )


def take_a_while(record: JobRecord) -> JobResult:
    time.sleep(random.uniform(0.05, 0.4))
    return JobResult(outputs=(output_of(record.job_id),))


def finish(record: JobRecord) -> JobResult:
    return JobResult(outputs=(output_of(record.job_id),))


def poison(record: JobRecord) -> JobResult:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


HANDLERS = {"take_a_while": take_a_while, "finish": finish, "poison": poison}

if __name__ == "__main__":
    main()
