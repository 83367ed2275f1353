"""What recording a metric costs, and what a killed process loses: afterfit, MLflow on SQLite, Trackio, TensorBoard.

    python benchmarks/logging_runs.py [--python PATH]

Each library logs 2,000 steps of two metrics in a process of its own, which is then killed by SIGKILL right
after the last
call; what its own reader finds afterwards counts. The libraries take turns, three times each; the figures are of the
median turn. `--python` names the interpreter of an environment with the peers; a peer that is not there says so.

Last it prints how long a run of afterfit takes to begin in a git clone, with and without an environment of 20,000
files there that git does not ignore, turn by turn, and what the run wrote; `--begin` prints nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CALLS, TURNS, FILES = 2_000, 3, 20_000

HEAD = """
import json, os, signal, sys, time
folder, calls = sys.argv[1], int(sys.argv[2])
times = []
def measure(log):
    for i in range(calls):
        start = time.perf_counter_ns()
        log(i, 1 / (i + 1), 2 / (i + 1))
        times.append(time.perf_counter_ns() - start)
    # By the file descriptor, so that nothing but the kill ends the process.
    os.write(1, (json.dumps(times) + "\\n").encode())
    os.kill(os.getpid(), signal.SIGKILL)
"""

WRITERS = {
    "afterfit": """
import afterfit
run = afterfit.run("bench", {"lr": 0.1})
measure(lambda i, a, b: run.log(i, loss=a, val_loss=b))
""",
    "MLflow (SQLite)": """
import mlflow
mlflow.set_tracking_uri("sqlite:///" + folder + "/mlflow.db")
mlflow.set_experiment("bench")
mlflow.start_run()
measure(lambda i, a, b: mlflow.log_metrics({"loss": a, "val_loss": b}, step=i))
""",
    "Trackio": """
import trackio
trackio.init(project="bench", name="bench", embed=False)
measure(lambda i, a, b: trackio.log({"loss": a, "val_loss": b}, step=i))
""",
    "TensorBoard": """
from tensorboard.summary import Writer
writer = Writer(folder)
def log(i, a, b):
    writer.add_scalar("loss", a, i)
    writer.add_scalar("val_loss", b, i)
measure(log)
""",
}

READERS = {
    "afterfit": """
import pathlib
from afterfit.tracking import read_run
found = [read_run(path.parent) for path in pathlib.Path(folder).glob("runs/*/*.log")]
print(len(found[0].series["val_loss"].value))
""",
    "MLflow (SQLite)": """
import sqlite3
database = sqlite3.connect(folder + "/mlflow.db")
print(database.execute("select count(*) from metrics where key = 'val_loss'").fetchone()[0])
""",
    "Trackio": """
import pathlib, sqlite3
files = [p for p in pathlib.Path(folder).rglob("*.db")]
count = 0
for p in files:
    database = sqlite3.connect(p)
    if database.execute("select 1 from sqlite_master where name = 'metrics'").fetchone():
        count += database.execute("select count(*) from metrics").fetchone()[0]
print(count)
""",
    "TensorBoard": """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(folder, size_guidance={"tensors": 0, "scalars": 0})
events.Reload()
tags = events.Tags()
print(len(events.Tensors("val_loss")) if "val_loss" in tags["tensors"] else
      len(events.Scalars("val_loss")) if "val_loss" in tags["scalars"] else 0)
""",
}


def turn(name: str, python: str) -> tuple[list[int], int] | str:
    """Nanoseconds of each call and records found afterwards; or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "AFTERFIT_STORE": folder,
            "TRACKIO_DIR": folder,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command = [python, "-c", HEAD + WRITERS[name], folder, str(CALLS)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=environment, check=False
        )
        if done.returncode != -signal.SIGKILL:
            return (done.stderr.strip().splitlines() or ["ended early"])[-1]
        line = next(line for line in done.stdout.splitlines() if line.startswith("["))
        command = [python, "-c", "import sys\nfolder = sys.argv[1]\n" + READERS[name], folder]
        read = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=environment, check=False
        )
        if read.returncode:
            return read.stderr.strip().splitlines()[-1]
        return json.loads(line), int(read.stdout.split()[-1])


BEGIN = """
import json, time, afterfit
start = time.perf_counter()
with afterfit.run("bench") as run:
    seconds = time.perf_counter() - start
print(json.dumps([seconds, sum(path.stat().st_size for path in run.folder.iterdir())]))
"""


def print_begin() -> None:
    """Seconds until a run has begun, in a clone with an environment that git does not ignore, and without it."""
    with tempfile.TemporaryDirectory() as folder:
        clone, aside = Path(folder) / "clone", Path(folder) / "aside"
        git = ["git", "-C", str(clone), "-c", "user.email=a@example.org", "-c", "user.name=a"]
        subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
        (clone / "train.py").write_text(BEGIN)
        for rest in (["add", "--all"], ["commit", "--quiet", "--message", "first"]):
            subprocess.run([*git, *rest], check=True)
        for number in range(FILES):
            place = aside / "lib" / f"package{number // 200}" / f"module{number // 10 % 20}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number}.py").write_bytes(os.urandom(4_000))
        (aside / "pyvenv.cfg").touch()
        environment = {**os.environ, "AFTERFIT_STORE": str(Path(folder) / "store")}
        found: dict[str, list[list[float]]] = {"without": [], "with": []}
        for _ in range(TURNS):
            for name, turns in found.items():
                if name == "with":
                    aside.rename(clone / "environment")
                command = [sys.executable, "train.py"]
                done = subprocess.run(command, cwd=clone, env=environment, check=True, capture_output=True)
                turns.append(json.loads(done.stdout))
                if name == "with":
                    (clone / "environment").rename(aside)
        print("\n| a run begins in a clone | median, ms | bytes written |\n|---|---|---|")
        for name, turns in found.items():
            seconds, written = (statistics.median(column) for column in zip(*turns, strict=True))
            print(f"| {name} {FILES:,} files of an environment | {seconds * 1000:,.0f} | {written:,.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the peers")
    parser.add_argument("--begin", action="store_true", help="measure only how long a run takes to begin")
    options = parser.parse_args()
    if not options.begin:
        print_calls(options.python)
    print_begin()


def print_calls(python: str) -> None:
    """What a call costs and what is lost, library by library."""
    found: dict[str, list[tuple[list[int], int] | str]] = {name: [] for name in WRITERS}
    for _ in range(TURNS):
        for name, turns in found.items():
            turns.append(turn(name, python if name != "afterfit" else sys.executable))
    print(
        "| library | p50, µs per call | p99, µs | p50 / afterfit | lost of 2,000 on kill -9 |\n|---|---|---|---|---|"
    )
    base = 0.0
    for name, turns in found.items():
        good = [done for done in turns if not isinstance(done, str)]
        if not good:
            print(f"| {name} | not measured: {turns[0]} | | | |")
            continue
        p50 = statistics.median(statistics.median(times) for times, _ in good) / 1000
        p99 = statistics.median(sorted(times)[int(len(times) * 0.99)] for times, _ in good) / 1000
        base = base or p50
        lost = statistics.median(CALLS - count for _, count in good)
        print(f"| {name} | {p50:,.1f} | {p99:,.1f} | {p50 / base:,.1f} | {lost:,.0f} |")


if __name__ == "__main__":
    main()
