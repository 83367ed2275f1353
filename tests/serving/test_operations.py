"""Starting, stopping, draining, and workers that die: what those who run a server count on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import httpx
import pytest
from tests.serving.test_server import children, environment, running

import afterfit
from afterfit.errors import ArgumentError
from afterfit.loadtest import Pace, Shares, Target, deck_of_models, run
from afterfit.runtime import _session as session
from afterfit.runtime import available_cores
from afterfit.serving._server import thread_budget
from afterfit.serving._sources import Sources

ROW = {"delay": 3.0, "distance (miles)": 500, "carrier": "UA"}
BODY = json.dumps({"rows": [ROW]}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


def connect(url):
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def wait_until_closed(url):
    """Until nobody is let in: a server that stops ends connections that idle, and resets those it did not accept."""
    while True:
        try:
            connection = connect(url)
        except ConnectionRefusedError:
            return
        with connection, suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
            while connection.recv(4096):
                pass


def test_a_request_under_way_is_answered_while_the_server_stops_and_nobody_new_is_let_in(toy_bundle):
    with running(toy_bundle) as (url, process), connect(url) as slow:
        slow.sendall(HEAD % len(BODY) + BODY[:10])
        assert httpx.get(f"{url}/health/ready").status_code == 200
        process.send_signal(signal.SIGTERM)
        wait_until_closed(url)
        assert process.poll() is None
        slow.sendall(BODY[10:])
        assert slow.recv(12) == b"HTTP/1.1 200"
        process.wait(timeout=30)


def test_who_never_finishes_a_request_cannot_keep_a_server_from_stopping(toy_bundle):
    code = (
        "import sys; from afterfit.serving import _server\n"
        "_server.STOP_SECONDS = 1\n"
        "_server.serve(sys.argv[1:], port=0, on_ready=lambda url: print(url, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(toy_bundle)], stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            url = process.stdout.readline().strip()
            with connect(url) as stuck:
                stuck.sendall(HEAD % len(BODY) + BODY[:10])
                assert httpx.get(f"{url}/health/ready").status_code == 200
                process.terminate()
                assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def test_time_to_stop_is_within_what_platforms_allow():
    from afterfit.serving import _server

    # SageMaker and Kubernetes kill 30 seconds after they asked.
    assert _server.STOP_SECONDS < 30


def test_a_server_that_is_loading_says_so(tools):
    from afterfit.serving._http import Application

    app = Application(lambda: None, lambda plane: [])
    import asyncio

    reply = asyncio.run(tools.call(app, "GET", "/health/ready"))
    assert reply.status == 503
    assert reply.headers[b"retry-after"] == b"1"


@pytest.mark.skipif(available_cores() < 2, reason="two workers need two cores")
def test_killed_workers_are_replaced_while_requests_are_answered(toy_bundle):
    model = afterfit.load(toy_bundle)
    with running(toy_bundle, "--workers", 2, expect_complaints=True) as (url, process):
        target = Target.parse(url)
        deck = deck_of_models(target, [model], shares=Shares(malformed=0.1))
        before = children(process.pid)
        done = threading.Event()
        tallies = []

        def load():
            tallies.append(run(target, deck, Pace(connections=8, seconds=60, requests=20_000)))
            done.set()

        loader = threading.Thread(target=load)
        loader.start()
        os.kill(before[0], signal.SIGKILL)
        assert "worker" in process.stderr.readline()
        stop = time.monotonic() + 30
        while len(set(children(process.pid)) - set(before)) < 1 or len(children(process.pid)) < 2:
            assert time.monotonic() < stop, "the worker was not replaced"
            done.wait(0.05)
        loader.join(90)
    (tally,) = tallies
    assert tally.wrong_answers == []
    assert tally.total + tally.cut == 20_000
    # Each connection may be cut once where it was open, and once more where it waited to be accepted.
    assert tally.cut <= 16
    assert not set(tally.statuses) & set(range(500, 600))


def test_workers_and_their_threads_never_exceed_the_cores():
    for cores in range(1, 70):
        for workers in range(1, cores + 1):
            threads = thread_budget(workers, cores)
            assert threads >= 1
            assert workers * threads <= cores
    with pytest.raises(ArgumentError, match="9 workers would take turns on 8 cores; start at most 8"):
        thread_budget(9, 8)
    with pytest.raises(ArgumentError, match="1 core; start at most 1"):
        thread_budget(2, 1)


def test_more_workers_than_cores_are_refused_before_anything_starts(toy_bundle):
    done = subprocess.run(
        [sys.executable, "-m", "afterfit", "serve", str(toy_bundle), "--workers", "100000"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"start at most {available_cores()}" in done.stderr


def test_models_are_loaded_with_the_threads_of_the_budget(toy_bundle):
    sources = Sources([str(toy_bundle)], None, threads=3)
    (loaded,) = sources.load(sources.look())
    assert loaded.model._session.threads == 3


@pytest.mark.parametrize(
    ("said", "cores"),
    [("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("900000 100000", 8), ("nonsense", 8)],
)
def test_a_quota_of_a_container_is_a_limit_on_cores(tmp_path, monkeypatch, said, cores):
    quota = tmp_path / "cpu.max"
    quota.write_text(said + "\n")
    monkeypatch.setattr(session, "CPU_QUOTA", str(quota))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert available_cores() == cores
    quota.unlink()
    assert available_cores() == 8
