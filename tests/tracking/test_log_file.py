"""What is logged is on record when the call returns, exactly, whatever then ends the process."""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import afterfit
from afterfit.errors import ArgumentError
from afterfit.tracking import _log_reader, read_run
from afterfit.tracking._log_file import LogFile
from afterfit.tracking._log_reader import read_log

KILLED = """
import os, signal, afterfit
run = afterfit.run("killed", {"lr": 0.1})
for i in range(2000):
    run.log(i, loss=i / 7, text="x" if i % 100 == 0 else "")
print(run.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

MANY = """
import sys, afterfit
with afterfit.run("many", {"number": int(sys.argv[1])}) as run:
    for i in range(500):
        run.log(i, loss=float(i), number=int(sys.argv[1]))
"""


BEGIN = {
    "kind": "begin", "parent": None, "rerun_of": None, "started": 0.0, "params": {}, "context": {"seeds": {}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AFTERFIT_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store"


def test_no_record_is_lost_by_a_kill_right_after_the_call():
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    record = read_run(Path(done.stdout.strip()))
    assert record.status == "killed"
    assert record.torn == 0
    assert record.series["loss"].value.tolist() == [i / 7 for i in range(2000)]
    assert record.series["text"].value.tolist() == ["x" if i % 100 == 0 else "" for i in range(2000)]


def test_four_processes_log_at_once(store: Path):
    processes = [subprocess.Popen([sys.executable, "-c", MANY, str(i)]) for i in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    records = [read_run(folder) for folder in (store / "runs").iterdir() if folder.is_dir()]
    assert sorted(record.params["number"] for record in records) == [0, 1, 2, 3]
    for record in records:
        assert record.status == "finished"
        assert record.series["loss"].value.tolist() == list(range(500))
        assert set(record.series["number"].value.tolist()) == {record.params["number"]}


def test_a_forked_and_an_unpickling_process_write_to_files_of_their_own():
    with afterfit.run("forked") as run:
        run.log(0, loss=0.0)
        child = os.fork()
        if child == 0:
            run.log(1, loss=1.0)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        copy = pickle.loads(pickle.dumps(run))
        copy.log(2, loss=2.0)
        assert len(list(run.folder.glob("*.log"))) == 3
    assert sorted(read_run(run.folder).series["loss"].value.tolist()) == [0.0, 1.0, 2.0]


def test_threads_share_a_run():
    with afterfit.run("threads") as run:
        threads = [
            threading.Thread(target=lambda k=k: [run.log(i, **{f"loss{k}": i / 3}) for i in range(300)])
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    series = read_run(run.folder).series
    assert all(series[f"loss{k}"].value.tolist() == [i / 3 for i in range(300)] for k in range(4))


def test_a_torn_last_record_is_left_out_wherever_it_is_cut(tmp_path: Path):
    path = tmp_path / "torn.log"
    log = LogFile(path)
    for i in range(40):
        log.write_point(i, {"loss": i / 3})
    log.close(durable=False)
    whole = path.read_bytes()
    for cut in range(1, 35):
        path.write_bytes(whole[:-cut])
        found = read_log(path)
        assert found.points[0].step.tolist() == list(range(39))
        assert found.torn == 35 - cut
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert read_log(path).points[0].step.tolist() == list(range(39))


@pytest.mark.parametrize("stretch", [1, 7, 40, 300, 700])
def test_calls_with_different_metrics_in_turn_are_read_in_their_order(tmp_path: Path, stretch: int):
    path, expected = tmp_path / "0-1-aaaaaa.log", {}
    log = LogFile(path)
    log.write_document({**BEGIN, "id": "run", "name": "turns"})
    layouts = [
        lambda i: {"loss": i / 3},
        lambda i: {"loss": i / 3, "rate": i},
        lambda i: {"rate": float(i), "on": i % 2 == 0},
        lambda i: {"note": str(i)},
        lambda i: {"loss": 2**70 + i},
    ]
    for i in range(3000):
        values = layouts[i // stretch % len(layouts)](i)
        log.write_point(i, values)
        for name, value in values.items():
            expected.setdefault(name, []).append((i, value))
    log.close(durable=False)
    series = read_run(tmp_path).series
    for name, points in expected.items():
        read = list(zip(series[name].step.tolist(), series[name].value.tolist(), strict=True))
        assert list(map(repr, read)) == list(map(repr, points))


def test_what_follows_a_damaged_record_is_not_read(tmp_path: Path):
    path = tmp_path / "damaged.log"
    log, ends = LogFile(path), []
    for i in range(200):
        log.write_point(i, {"loss": i / 3} if i % 3 else {"loss": i / 3, "rate": i})
        ends.append(path.stat().st_size)
        if i == 150:
            log.write_document({"kind": "tags", "tags": {"late": 1}})
    log.close(durable=False)
    whole = path.read_bytes()
    for broken in (2, 70, 149, 160):
        at = ends[broken] - 1
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = read_log(path)
        steps = sorted(step for piece in found.points for step in piece.step.tolist())
        assert steps == list(range(broken))
        assert len(found.documents) == (broken > 150)
        assert found.torn == len(whole) - ends[broken - 1]
    for at in (ends[99], ends[99] + 8, ends[99] + 9):  # length, kind and layout of a point
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 7]) + whole[at + 1 :])
        found = read_log(path)
        assert sorted(step for piece in found.points for step in piece.step.tolist()) == list(range(100))
        assert found.torn == len(whole) - ends[99]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.integers(1, 400)), max_size=4)
)
def test_layouts_in_any_turn_are_read_in_their_order(tmp_path: Path, turns: list[tuple[list[int], int]]):
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.log"
    log = LogFile(path)
    order = [layout for turn, times in turns for layout in (turn * times)[:700]]
    for i, layout in enumerate(order):
        log.write_point(i, {"a": i / 3, **dict.fromkeys(["b", "c"][:layout], True)})
    log.close(durable=False)
    found = read_log(path)
    assert found.torn == 0
    read = sorted(
        (int(at), int(step), len(piece.values) - 1)
        for piece in found.points
        for at, step in zip(piece.at, piece.step, strict=True)
    )
    assert [(step, layout) for _, step, layout in read] == list(enumerate(order))
    assert all((np.diff(piece.at) > 0).all() for piece in found.points)


@pytest.mark.parametrize("columns", [0, 1, 2, 8, 20])
def test_the_crc_of_many_points_is_that_of_each(columns: int):
    document = {"step": "q", "columns": [[f"m{i}", "?" if i % 5 == 4 else "d"] for i in range(columns)]}
    dtype = _log_reader._dtype(document)
    content = np.random.default_rng(columns).integers(0, 256, 40_000 * dtype.itemsize, dtype=np.uint8)
    frames = content.view(dtype)
    rows = content.reshape(len(frames), -1)[:, 8:]
    assert _log_reader._crcs(frames).tolist() == [zlib.crc32(row.tobytes()) for row in rows]


def test_a_clock_that_is_set_back_does_not_change_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = iter(range(1000, 0, -1))
    log = LogFile(tmp_path / "0-1-aaaaaa.log")
    log.write_document({**BEGIN, "id": "run", "name": "back"})
    monkeypatch.setattr("time.time", lambda: float(next(clock)))
    for i in range(10):
        log.write_point(i, {"loss": i / 3} if i % 2 else {"loss": i / 3, "rate": i})
    log.close(durable=False)
    assert read_run(tmp_path).series["loss"].value.tolist() == [i / 3 for i in range(10)]


VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**70),
    st.booleans(),
    st.text(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers() | st.floats(allow_nan=False),
            st.dictionaries(st.text(min_size=1), VALUES, max_size=3),
        ),
        max_size=8,
    )
)
def test_values_come_back_exactly(tmp_path: Path, calls):
    with afterfit.run("values") as run:
        for step, values in calls:
            run.log(step, **values)
    record = read_run(run.folder)
    for name in {name for _, values in calls for name in values}:
        expected = [(step, values[name]) for step, values in calls if name in values]
        series = record.series[name]
        got = list(zip(series.step.tolist(), series.value.tolist(), strict=True))
        # By repr, since NaN differs from itself, and 1 equals True and 1.0.
        assert sorted(map(repr, got)) == sorted(map(repr, expected))


def test_scalars_of_numpy_are_taken_and_other_values_refused():
    with afterfit.run("scalars") as run:
        run.log(np.int64(3), a=np.float32(0.5), b=np.array(2), c=np.bool_(True))
        for wrong in ([1, 2], None, {"a": 1}, 1j):
            with pytest.raises(ArgumentError, match="can be logged"):
                run.log(4, a=wrong)
        run.log(a=1.5)
    series = read_run(run.folder).series
    assert series["a"].step.tolist() == [3, 4]
    assert (series["b"].value.tolist(), series["c"].value.tolist()) == ([2], [True])
    assert math.isclose(series["a"].value[0], 0.5)


def test_how_a_run_ended_is_on_record():
    def ended(error: BaseException) -> str:
        try:
            with afterfit.run("ends") as run:
                raise error
        except type(error):
            return read_run(run.folder)

    failed = ended(ValueError("no"))
    assert (failed.status, failed.exit_status) == ("failed", 1)
    assert failed.exception["type"] == "ValueError"
    assert "raise error" in failed.exception["traceback"]
    interrupted = ended(KeyboardInterrupt())
    assert (interrupted.status, interrupted.exit_status) == ("interrupted", 130)
    assert ended(SystemExit(0)).status == "finished"
    left = ended(SystemExit(3))
    assert (left.status, left.exit_status) == ("failed", 3)


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [
        ("", "finished", None),
        ("raise ValueError('no')", "failed", "ValueError"),
        ("raise KeyboardInterrupt", "interrupted", "KeyboardInterrupt"),
        ("os._exit(0)", "killed", None),
        ("if os.fork(): os.wait()", "finished", None),
        ("if os.fork(): os.wait(); os._exit(0)", "killed", None),
    ],
)
def test_a_run_without_a_with_block_ends_with_its_process(
    store: Path, ending: str, status: str, error: str | None
):
    script = f"import os, afterfit\nrun = afterfit.run('open')\nrun.log(0, loss=1.0)\n{ending}"
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    (folder,) = (path for path in (store / "runs").iterdir() if path.is_dir())
    record = read_run(folder)
    assert record.status == status
    assert (record.exception or {}).get("type") == error
    assert len(record.series["loss"].value) == 1


def test_a_run_is_read_while_it_goes_on():
    run = afterfit.run("live")
    run.log(0, loss=1.0)
    record = read_run(run.folder)
    assert (record.status, record.ended, record.last_values()) == ("running", None, {"loss": 1.0})
    run.finish()
    assert read_run(run.folder).status == "finished"
