"""Bundles are swapped under load: no request fails, and every answer is that of the version it names."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref

import httpx
import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from tests.serving.test_server import children, environment, running

import afterfit
from afterfit.bundle import read_bundle, write_bundle
from afterfit.errors import AfterfitError
from afterfit.runtime import available_cores
from afterfit.serving._swap import BundleWatcher

two_cores = pytest.mark.skipif(available_cores() < 2, reason="two workers need two cores")


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Two versions of a model: y = 2 x and y = 3 x."""
    folder = tmp_path_factory.mktemp("versions")
    X = np.arange(20.0).reshape(-1, 1) + 0.5
    return [
        afterfit.save(LinearRegression().fit(X, slope * X[:, 0]), folder / f"{slope}.afit", X=X, name="line")
        for slope in (2, 3)
    ], [folder / "2.afit", folder / "3.afit"]


def place(source, target):
    draft = target.with_suffix(".draft")
    shutil.copyfile(source, draft)
    draft.replace(target)


def wait_for(url, version, seconds=20):
    stop = time.monotonic() + seconds
    with httpx.Client() as client:
        while client.get(f"{url}/models").json()["models"][0]["version"] != version:
            assert time.monotonic() < stop, "the swap did not come"


def test_a_changed_file_goes_live_without_a_failed_request(versions, tmp_path):
    (first, second), paths = versions
    served = tmp_path / "line.afit"
    place(paths[0], served)
    factors = {first.version: 2.0, second.version: 3.0}
    seen: list[tuple[str, float]] = []
    failed: list[object] = []
    done = threading.Event()
    with running(served) as (url, _):

        def ask():
            with httpx.Client() as client:
                while not done.is_set():
                    reply = client.post(f"{url}/predict", json={"rows": [{"x0": 5.0}]})
                    if reply.status_code != 200:
                        failed.append(reply.text)
                        return
                    answer = reply.json()
                    seen.append((answer["version"], answer["predictions"][0]))

        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        try:
            for path, model in ((paths[1], second), (paths[0], first), (paths[1], second)):
                place(path, served)
                wait_for(url, model.version)
        finally:
            done.set()
            for asker in askers:
                asker.join()
    assert not failed
    assert {version for version, _ in seen} == set(factors)
    assert all(answer == pytest.approx(5 * factors[version]) for version, answer in seen)


def test_sighup_loads_the_bundles_anew(versions, tmp_path):
    (first, _), paths = versions
    served = tmp_path / "line.afit"
    place(paths[0], served)
    with running(served, "--workers", 2) as (url, process):
        process.send_signal(signal.SIGHUP)
        wait_for(url, first.version)
        assert httpx.post(f"{url}/predict", json={"rows": [{"x0": 5.0}]}).status_code == 200
        assert process.poll() is None


def test_a_bundle_that_fails_its_audit_never_goes_live(caplog):
    applied = []
    state = {"stamp": 0, "models": ["new"]}

    def load():
        if isinstance(state["models"], Exception):
            raise state["models"]
        return state["models"]

    watcher = BundleWatcher(lambda: state["stamp"], lambda _: load(), applied.append)
    watcher.begin(0)
    asyncio.run(watcher.look())
    assert applied == []
    state.update(stamp=1, models=AfterfitError("digest-mismatch"))
    asyncio.run(watcher.look())
    asyncio.run(watcher.look())
    assert applied == []
    assert [record.message for record in caplog.records].count(
        "the bundles were not swapped, and what was served goes on: digest-mismatch"
    ) == 1
    state.update(stamp=2, models=["newer"])
    asyncio.run(watcher.look())
    assert applied == [["newer"]]


def test_a_truncated_file_leaves_the_old_version_serving(versions, tmp_path):
    (first, second), paths = versions
    served = tmp_path / "line.afit"
    place(paths[0], served)
    with running(served, expect_complaints=True) as (url, process):
        served.write_bytes(paths[1].read_bytes()[:-100])
        line = process.stderr.readline()
        assert "what was served goes on" in line
        assert httpx.get(f"{url}/models").json()["models"][0]["version"] == first.version
        place(paths[1], served)
        wait_for(url, second.version)


@pytest.fixture(scope="module")
def untrue(versions, tmp_path_factory):
    """A whole bundle whose graph does not answer as its golden rows say."""
    bundle = read_bundle(versions[1][1])
    first = bundle.golden[0]
    wrong = msgspec.structs.replace(first, output={"prediction": first.output["prediction"] + 1.0})
    path = tmp_path_factory.mktemp("untrue") / "line.afit"
    write_bundle(
        path,
        manifest=bundle.manifest,
        schema=bundle.schema,
        graph=bundle.graph,
        golden=(wrong, *bundle.golden[1:]),
        entries=bundle.entries,
    )
    return path


def test_a_bundle_that_fails_its_golden_replay_never_goes_live(versions, untrue, tmp_path):
    (first, second), paths = versions
    served = tmp_path / "line.afit"
    place(paths[0], served)
    with running(served, expect_complaints=True) as (url, process):
        place(untrue, served)
        line = process.stderr.readline()
        assert "does not answer as when it was saved" in line
        assert "what was served goes on" in line
        with httpx.Client() as client:
            answer = client.post(f"{url}/predict", json={"rows": [{"x0": 5.0}]}).json()
            assert (answer["version"], answer["predictions"]) == (first.version, [pytest.approx(10.0)])
        place(paths[1], served)
        wait_for(url, second.version)


@pytest.mark.parametrize(("method", "workers"), [("spawn", 1), pytest.param("fork", 2, marks=two_cores)])
def test_a_server_does_not_start_with_a_bundle_that_fails_its_golden_replay(untrue, method, workers):
    code = (
        f"import multiprocessing as m; m.set_start_method({method!r}); from afterfit.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", str(untrue), "--port", "0", "--workers", str(workers)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(
        rf"Error: {untrue} does not answer as when it was saved: golden row 0: prediction is .*\n",
        done.stderr,
    )


def test_a_worker_that_ends_before_the_server_answers_is_not_replaced(versions):
    code = (
        "import os, sys; from afterfit.serving import _server, _worker\n"
        "_worker.open_recorder = lambda *_: os._exit(3)\n"
        "_server.serve(sys.argv[1:], port=0, on_ready=lambda url: print(url, flush=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(versions[1][0])],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "[ERROR] Unexpected exit from worker-1\n"


def test_what_a_replaced_worker_cannot_load_is_said_once_the_server_has_answered(versions, untrue, tmp_path):
    served = tmp_path / "line.afit"
    place(versions[1][0], served)
    with running(served, expect_complaints=True, code=1) as (_, process):
        place(untrue, served)
        assert "what was served goes on" in process.stderr.readline()
        (worker,) = children(process.pid)
        os.kill(worker, signal.SIGKILL)
        assert "Unexpected exit from worker" in process.stderr.readline()
        assert process.stderr.readline().startswith(f"[ERROR] {served} does not answer as when it was saved")
        process.wait(60)


def test_a_model_that_is_swapped_out_is_freed_at_once(versions, tools):
    """Not when the collector comes to it: a server collects so seldom that its memory would grow with every swap."""
    paths = versions[1]
    app = tools.make_app(afterfit.load(paths[0], threads=1))
    body = tools.rows({"x0": 5.0})
    gc.collect()
    gc.disable()
    try:
        for path in (paths[1], paths[0], paths[1]):
            model = afterfit.load(path, threads=1)
            seen = weakref.ref(model)
            app.replace([model])
            for route in ("/predict", "/check"):
                assert asyncio.run(tools.call(app, "POST", route, body)).status == 200
            infer = {"inputs": [{"name": "x0", "shape": [1], "datatype": "FP64", "data": [5.0]}]}
            assert (
                asyncio.run(
                    tools.call(app, "POST", "/v2/models/line/infer", json.dumps(infer).encode())
                ).status
                == 200
            )
            del model
            app.replace([afterfit.load(paths[0], threads=1)])
            assert seen() is None
    finally:
        gc.enable()
        app.stop()
