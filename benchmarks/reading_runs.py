"""Listing and filtering 100,000 runs, and a curve of 1,000,000 points: what a person waits for.

    python benchmarks/reading_runs.py [--runs N] [--points N] [--keep FOLDER]

The runs are written by the code that records runs, without the surroundings of each, to a temporary folder or to
FOLDER, where the next time finds them. Everything is warm: each figure is the median of seven after one that does not
count, with the lowest beside it. `in process` is the call alone, its check for new runs included, in a Python that has
imported all; `command` is the whole of `afterfit runs ...` written to a pipe, from the start of the interpreter to its
end. For scale: the start and end of an interpreter that does nothing, and `SELECT count(*)` over the runs by SQLite.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.tracking import RunIndex, draw_plot, draw_svg, panel_of, read_run
from afterfit.tracking._log_file import LogFile
from afterfit.tracking._place import note_change

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


def run_folder(runs: Path, number: int) -> Path:
    return runs / f"20260101-000000-{number:08x}"


def write_run(runs: Path, number: int, points: int, draw: random.Random, *, in_turn: bool = False) -> Path:
    folder = run_folder(runs, number)
    folder.mkdir()
    log = LogFile(folder / "0-1-aaaaaa.log")
    params = {"lr": draw.random(), "depth": draw.randrange(10), "kind": draw.choice("abc")}
    log.write_document(
        {"kind": "begin", "id": folder.name, "name": f"name{number % 7}", "parent": None, "rerun_of": None,
         "started": 1.7e9 + number, "params": params, "context": CONTEXT}
    )  # fmt: skip
    for step in range(points):
        if in_turn:
            log.write_point(step, {"loss": draw.random()})
            log.write_point(step, {"val_loss": draw.random()})
        else:
            log.write_point(step, {"loss": draw.random(), "val_loss": draw.random()})
    log.write_document(
        {"kind": "end", "status": "finished", "ended": 1.8e9, "exit_status": 0, "exception": None}
    )
    log.close(durable=False)
    return folder


def write_runs(runs: Path, count: int, points: int) -> None:
    draw = random.Random(0)
    for number in range(count):
        write_run(runs, number, 2, draw)
    for number in (0, 1):
        folder = write_run(runs, count + number, points, draw, in_turn=bool(number))
        note_change(runs, folder.name)


def median(call: Callable[[], object]) -> str:
    times = []
    for _ in range(8):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return f"{statistics.median(times[1:]):.0f} ms (lowest {min(times[1:]):.0f})"


def command(runs: Path, *arguments: str) -> Callable[[], object]:
    environment = {**os.environ, "AFTERFIT_STORE": str(runs.parent)}
    line = [sys.executable, "-c", "from afterfit.cli import main; main()", *arguments]
    return lambda: subprocess.run(line, check=True, capture_output=True, env=environment)


def measure_lists(runs: Path, index: RunIndex) -> None:
    def listed(where: str | None, sort: str) -> None:
        index.refresh()
        index.select(where, sort=sort)

    queries = [
        (None, "started"),
        (None, "min.val_loss"),
        ("lr > 0.5 and min.val_loss < 0.3", "started"),
        ("name = name3 and (kind = a or depth > 5) and not loss > 0.5", "loss"),
    ]
    print("| 100,000 runs, the first 20 of those | in process | command | command, --json |".replace(
        "100,000", f"{index.select(limit=1)[1]:,}"
    ))  # fmt: skip
    print("|---|---|---|---|")
    for where, sort in queries:
        words = ["runs", "--sort", sort, *([] if where is None else ["--where", where])]
        print(
            f"| {'' if where is None else where + ', '}by {sort} | {median(lambda w=where, s=sort: listed(w, s))} "
            f"| {median(command(runs, *words))} | {median(command(runs, *words, '--json'))} |"
        )


def measure_curves(runs: Path, count: int, points: int) -> None:
    def plotted(folder: Path, *, svg: bool) -> None:
        panel = panel_of("val_loss", {"run": read_run(folder).series["val_loss"]})
        assert panel is not None
        _ = draw_svg([panel]) if svg else draw_plot([panel], 100, colour=True)

    print(f"\n| {points:,} points of one metric, drawn | in process | command |\n|---|---|---|")
    for number, note in ((0, "logged with another metric"), (1, "logged in turn with another metric")):
        folder = run_folder(runs, count + number)
        words = ["runs", "plot", folder.name, "--metric", "val_loss"]
        for svg in (False, True):
            print(
                f"| {'SVG' if svg else 'terminal'}, {note} | {median(lambda f=folder, s=svg: plotted(f, svg=s))} "
                f"| {median(command(runs, *words, *(['-o', str(runs.parent / 'x.svg')] if svg else [])))} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        runs = (given.keep or Path(temporary)) / f"{given.runs}-{given.points}" / "runs"
        if not runs.is_dir():
            runs.mkdir(parents=True)
            write_runs(runs, given.runs, given.points)
        index = RunIndex(runs)
        start = time.perf_counter()
        index.rebuild()
        print(f"index made anew: {time.perf_counter() - start:.1f} s")
        with closing(sqlite3.connect(runs.parent / "runs.sqlite")) as database:
            counted = median(lambda: database.execute("select count(*) from runs").fetchone())
        print(f"SELECT count(*) FROM runs: {counted}")
        nothing = [sys.executable, "-c", "pass"]
        print(f"python -c pass: {median(lambda: subprocess.run(nothing, check=True))}\n")
        measure_lists(runs, index)
        measure_curves(runs, given.runs, given.points)


if __name__ == "__main__":
    main()
