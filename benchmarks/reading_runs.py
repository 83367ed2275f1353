"""Listing and filtering 100,000 runs, and a curve of 1,000,000 points: what a person waits for.

    python benchmarks/reading_runs.py [--runs N]

The runs are written to a temporary folder by the code that records runs, without the surroundings of each. A
figure is the
median of seven; for scale, the time of `SELECT count(*)` over the same table of SQLite is measured in the same run.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.tracking import RunIndex, draw_plot, draw_svg, panel_of, read_run
from afterfit.tracking._log_file import LogFile

if TYPE_CHECKING:
    from collections.abc import Callable

POINTS = 1_000_000
CONTEXT = {
    "command": ["python", "train.py"],
    "code": {"commit": "0" * 40, "diff_sha256": None},
    "python": "3.11.7",
    "packages": {},
    "machine": {"host": "bench"},
    "seeds": {},
}


def write_run(runs: Path, number: int, points: int, draw: random.Random) -> Path:
    folder = runs / f"20260101-000000-{number:08x}"
    folder.mkdir()
    log = LogFile(folder / "0-1-aaaaaa.log")
    params = {"lr": draw.random(), "depth": draw.randrange(10), "kind": draw.choice("abc")}
    log.write_document(
        {"kind": "begin", "id": folder.name, "name": f"name{number % 7}", "parent": None, "rerun_of": None,
         "started": 1.7e9 + number, "params": params, "context": CONTEXT}
    )  # fmt: skip
    for step in range(points):
        log.write_point(step, {"loss": draw.random(), "val_loss": draw.random()})
    log.write_document(
        {"kind": "end", "status": "finished", "ended": 1.8e9, "exit_status": 0, "exception": None}
    )
    log.close(durable=False)
    return folder


def median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    count = parser.parse_args().runs
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        runs.mkdir()
        for number in range(count):
            write_run(runs, number, 2, draw)
        start = time.perf_counter()
        index = RunIndex(runs)
        index.refresh()
        print(f"index of {count:,} runs made anew: {time.perf_counter() - start:.1f} s")

        def listed(where: str | None, sort: str) -> None:
            index.refresh()
            index.select(where, sort=sort)

        database = sqlite3.connect(Path(folder) / "runs.sqlite")
        counted = median(lambda: database.execute("select count(*) from facts").fetchone())
        print(f"SELECT count(*) FROM facts: {counted:.1f} ms")
        queries = [
            (None, "started"),
            (None, "min.val_loss"),
            ("lr > 0.5 and min.val_loss < 0.3", "started"),
            ("name = name3 and (kind = a or depth > 5) and not loss > 0.5", "loss"),
        ]
        for where, sort in queries:
            print(
                f"list where {where}, sorted by {sort}: {median(lambda w=where, s=sort: listed(w, s)):.0f} ms"
            )
        long = write_run(runs, count, POINTS, draw)

        def plotted(*, svg: bool) -> None:
            panel = panel_of("val_loss", {"run": read_run(long).series["val_loss"]})
            assert panel is not None
            _ = draw_svg([panel]) if svg else draw_plot([panel], 100, colour=True)

        print(
            f"{POINTS:,} points read and drawn in the terminal: {median(lambda: plotted(svg=False)):.0f} ms"
        )
        print(f"{POINTS:,} points read and drawn as SVG: {median(lambda: plotted(svg=True)):.0f} ms")


if __name__ == "__main__":
    main()
