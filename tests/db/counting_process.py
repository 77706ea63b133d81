"""A process whose threads count up one number in the index, reading it before they write it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import text

from db.engine import Engines, open_engines


def count(engines: Engines, times: int) -> None:
    for _ in range(times):
        with engines.write() as connection:
            value = connection.execute(text("SELECT value FROM counter")).scalar_one()
            connection.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})


def main() -> None:
    folder, threads, times = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    engines = open_engines(folder)
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(count, engines, times) for _ in range(threads)]:
            future.result()
    engines.close()


if __name__ == "__main__":
    main()
