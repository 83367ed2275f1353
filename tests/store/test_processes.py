"""Processes that use a store and log at once, some of them killed: nothing acknowledged is lost or half-written."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afterfit.bundle import read_bundle
from afterfit.store import Store
from afterfit.store._history import undo_target
from afterfit.tracking import RunIndex, read_run, runs_folder

WORKER = Path(__file__).with_name("worker.py")


def start(url: str, seed: int, bundles: list[Path], said: Path) -> subprocess.Popen[str]:
    with said.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, WORKER, url, str(seed), *map(str, bundles)],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.mark.parametrize(
    ("processes", "seconds"), [(4, 5), pytest.param(8, 60, marks=pytest.mark.sweep)], ids=["short", "minute"]
)
def test_what_was_acknowledged_stays(store_url, bundles, tmp_path, monkeypatch, processes, seconds):
    monkeypatch.setenv("AFTERFIT_STORE", str(tmp_path / "project"))
    said = [tmp_path / f"said-{number}" for number in range(processes)]
    running = {number: start(store_url, number, bundles, said[number]) for number in range(processes)}
    try:
        assert (
            disturb(running, lambda number, seed: start(store_url, seed, bundles, said[number]), seconds) > 3
        )
        for process in running.values():
            _, complaints = process.communicate(timeout=120)
            assert process.returncode == 0, complaints
    finally:
        for process in running.values():
            process.kill()
            process.communicate(timeout=60)
    acknowledged = [json.loads(line) for path in said for line in whole_lines(path)]
    with Store(store_url) as store:
        check(store, acknowledged)
    check_runs([one for one in acknowledged if one["kind"] == "log"], long=seconds >= 60)


def disturb(running: dict[int, subprocess.Popen[str]], restart: Callable[..., Any], seconds: float) -> int:
    """Kill processes at random moments and start others in their place; how many were killed."""
    draw = random.Random(1)
    killed, seed, stop = 0, len(running), time.monotonic() + seconds
    while time.monotonic() < stop:
        # Each kill falls on another moment of a call.
        time.sleep(draw.uniform(0.3, 1.0) * seconds / 10)
        number = draw.choice(sorted(running))
        assert running[number].poll() is None, running[number].communicate()
        running[number].kill()
        _, complaints = running[number].communicate(timeout=60)
        assert not complaints
        killed += 1
        running[number] = restart(number, seed)
        seed += 1
    return killed


def whole_lines(path: Path) -> list[bytes]:
    """A line that was cut off by the kill was not acknowledged."""
    return path.read_bytes().split(b"\n")[:-1]


def check(store: Store, acknowledged: list[dict[str, object]]) -> None:
    digests, histories = {}, {}
    for name in store.names():
        versions = store.versions(name)
        assert [version.number for version in versions] == list(range(1, len(versions) + 1))
        for version in versions:
            assert read_bundle(store.fetch(version)).digest == version.digest
            digests[name, version.number] = version.digest
        history = histories[name] = store.history(name, "production")
        assert [move.sequence for move in history] == list(range(1, len(history) + 1))
        assert [move.from_number for move in history] == [None, *(move.to_number for move in history)][
            : len(history)
        ]
        assert all((name, move.to_number) in digests for move in history)
        for index, move in enumerate(history):
            if move.kind == "rollback":
                assert move.to_number == undo_target(history[:index])
    pushes = [one for one in acknowledged if one["kind"] == "push"]
    moves = [one for one in acknowledged if one["kind"] == "move"]
    assert pushes
    assert moves
    for one in pushes:
        assert digests[one["name"], one["number"]] == one["digest"]
    for one in moves:
        move = histories[one["name"]][one["sequence"] - 1]
        assert (move.to_number, move.moved_by) == (one["to"], one["by"])
    bound = {store.resolve(f"{name}@{number}").blob for name, number in digests}
    store.collect()
    assert set(store._blobs.addresses()) == bound
    assert len({(one["name"], one["sequence"]) for one in moves}) == len(moves)


def check_runs(logged: list[dict[str, Any]], *, long: bool) -> None:
    """Every value that was logged is on record, in its order; beyond them at most what was not acknowledged yet."""
    assert logged
    index = RunIndex(runs_folder())
    index.refresh()
    listed, count = index.select(limit=None)
    status = {run.attributes["id"]: run.attributes["status"] for run in listed}
    assert count == len(status)
    for run_id in dict.fromkeys(one["run"] for one in logged):
        told = [value for one in logged if one["run"] == run_id for value in one["values"]]
        record = read_run(runs_folder() / run_id)
        kept = record.series["loss"].value.tolist()
        assert kept[: len(told)] == told
        assert len(kept) - len(told) <= 20
        assert record.status == status[run_id]
    assert set(status.values()) <= {"finished", "killed"}
    # In the short form a process may be killed before its run begins.
    assert "killed" in status.values() or not long
