"""What the server counts: correct over workers, and in a format that Prometheus reads."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.test_server import children, running

import afterfit
from afterfit.serving import DataPlane, Limits
from afterfit.serving._board import MAX_SERIES, Board, add_up, exposition
from afterfit.serving._http import Application
from afterfit.serving._meters import ServerMeter
from afterfit.serving.contracts import NativeContract, OperationsContract

ROW = {"delay": 3.0, "distance (miles)": 500, "carrier": "UA"}


def read(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(found, name, **labels):
    return sum(
        number
        for (known, has), number in found.items()
        if known == name and labels.items() <= dict(has).items()
    )


def test_boards_of_several_workers_are_added_up(tmp_path):
    code = (
        "import sys; from pathlib import Path; from afterfit.serving._board import Board\n"
        "board = Board(Path(sys.argv[1]))\n"
        "board.counter('a_total', kind='x').add(3)\n"
        "board.gauge('up').set(1)\n"
        "board.histogram('h', (1.0, 2.0)).observe(1.5)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    board = Board(tmp_path)
    board.counter("a_total", kind="x").add()
    board.gauge("up").set(1)
    board.histogram("h", (1.0, 2.0)).observe(9.0)
    found = read(exposition(add_up(tmp_path), {"a_total": "A.", "up": "Up.", "h": "H."}))
    board.close()
    assert value(found, "a_total", kind="x") == 7
    assert value(found, "up") == 1
    assert value(found, "h_bucket", le="1") == 0
    assert value(found, "h_bucket", le="2") == 2
    assert value(found, "h_bucket", le="+Inf") == value(found, "h_count") == 3
    assert value(found, "h_sum") == 12


@given(st.text(max_size=20), st.lists(st.floats(0, 1e6), max_size=8))
def test_whatever_is_counted_is_read_back(tmp_path_factory, label, numbers):
    folder = tmp_path_factory.mktemp("board")
    board = Board(folder)
    for number in numbers:
        board.counter("a_total", name=label).add(number)
    series = add_up(folder)
    board.close()
    assert [(one.labels, one.numbers) for one in series] == (
        [((("name", label),), [sum(numbers)])] if numbers else []
    )
    found = read(exposition(series, {"a_total": "A."}))
    assert list(found.values()) == [pytest.approx(sum(numbers))] * bool(numbers)


def test_labels_beyond_the_limit_are_counted_together(tmp_path):
    board = Board(tmp_path)
    for number in range(MAX_SERIES + 50):
        board.counter("a_total", name=str(number)).add()
        board.histogram("h", (1.0,), name=str(number)).observe(0.5)
    found = read(exposition(add_up(tmp_path), {"a_total": "A.", "h": "H."}))
    board.close()
    assert value(found, "a_total") == value(found, "h_count") == MAX_SERIES + 50
    assert value(found, "a_total", overflow="true") > 0


@given(st.lists(st.floats(0, 1e3), max_size=20))
def test_values_counted_together_count_as_each_would(tmp_path_factory, numbers):
    folder = tmp_path_factory.mktemp("board")
    board = Board(folder)
    bounds = (0.5, 1.0, 100.0)
    board.histogram("together", bounds).observe_all(numbers)
    for number in numbers:
        board.histogram("alone", bounds).observe(number)
    found = read(exposition(add_up(folder), {"together": "T.", "alone": "A."}))
    board.close()
    for bound in ("0.5", "1", "100", "+Inf"):
        assert value(found, "together_bucket", le=bound) == value(found, "alone_bucket", le=bound)
    assert value(found, "together_sum") == pytest.approx(value(found, "alone_sum"))


@pytest.fixture
def counted(tmp_path, toy_bundle):
    meter = ServerMeter(tmp_path)
    model = afterfit.load(toy_bundle, threads=1)
    app = Application(
        lambda: DataPlane([model], meter=meter),
        lambda plane: [NativeContract(plane), OperationsContract(plane, meter)],
        observer=meter,
    )
    app.start()
    yield app
    app.stop()
    meter.board.close()


def test_requests_rows_mistakes_and_warnings_are_counted(tools, counted):
    def post(*rows):
        return tools.call(counted, "POST", "/predict", json.dumps({"rows": rows}).encode())

    async def send():
        await post(ROW, ROW)
        await post(ROW, {**ROW, "carrier": "zz"})
        await post({**ROW, "delay": "x", "distance (miles)": "y"}, {**ROW, "colour": 1})
        await tools.call(counted, "POST", "/nowhere", b"{}")
        return await tools.call(counted, "GET", "/metrics")

    reply = asyncio.run(send())
    assert reply.headers[b"content-type"].startswith(b"text/plain; version=0.0.4")
    found = read(reply.body)
    assert value(found, "afterfit_requests_total", route="/predict", status="200") == 2
    assert value(found, "afterfit_requests_total", route="/predict", status="422") == 1
    assert value(found, "afterfit_requests_total", route="(unknown)", status="404") == 1
    assert value(found, "afterfit_request_seconds_count", route="/predict") == 3
    assert value(found, "afterfit_rows_total", model="toy") == 4
    assert value(found, "afterfit_invalid_values_total", column="delay") == 1
    assert value(found, "afterfit_invalid_values_total", column="distance (miles)") == 1
    assert value(found, "afterfit_invalid_values_total", column="(unknown)") == 1
    assert value(found, "afterfit_unusual_values_total", column="carrier") == 1
    for stage in ("decode", "wait", "run", "write"):
        assert value(found, "afterfit_stage_seconds_count", stage=stage) == 2, stage
    assert value(found, "afterfit_workers") == value(found, "afterfit_model_info", model="toy") == 1
    assert value(found, "afterfit_memory_bytes") > 1e6


def test_the_process_is_named_in_the_files(tmp_path):
    board = Board(tmp_path)
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {str(os.getpid())}
    board.close()


def test_what_is_refused_unrun_is_counted_whatever_the_reason(tools, tmp_path):
    meter = ServerMeter(tmp_path)
    model = tools.SpyModel(seconds=0.2)
    limits = Limits(max_held_bytes=50_000)
    app = Application(
        lambda: DataPlane([model], limits, meter=meter),
        lambda plane: [NativeContract(plane), OperationsContract(plane, meter)],
        observer=meter,
    )
    app.start()

    async def send():
        body, json_type = tools.rows(tools.row()), (b"content-type", b"application/json")
        # The model learns that it is slow, and then runs in its thread.
        await tools.call(app, "POST", "/predict", body)
        slow = asyncio.ensure_future(tools.call(app, "POST", "/predict", body))
        while len(model.runs) < 2:
            await asyncio.sleep(0.001)
        late = await tools.call(app, "POST", "/predict", body, [json_type, (b"x-request-timeout", b"0.001")])
        long = [tools.call(app, "POST", "/predict", b" " * 40_000 + body) for _ in range(2)]
        statuses = [reply.status for reply in await asyncio.gather(*long)]
        return (await slow).status, late.status, statuses, await tools.call(app, "GET", "/metrics")

    slow, late, statuses, reply = asyncio.run(send())
    app.stop()
    meter.board.close()
    assert (slow, late, sorted(statuses)) == (200, 503, [200, 503])
    found = read(reply.body)
    assert value(found, "afterfit_shed_total", model="spy") == 1
    assert value(found, "afterfit_shed_bodies_total") == 1


def test_gauges_of_workers_that_are_not_asked_are_fresh(toy_bundle):
    with running(toy_bundle, "--workers", 2, expect_complaints=True) as (url, process):
        first = shown_by_two(url)
        expected = sum(resident(worker) for worker in children(process.pid))
        assert value(first, "afterfit_memory_bytes") == pytest.approx(expected, rel=0.5)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        assert "worker" in process.stderr.readline()
        second = shown_by_two(url)
        assert value(second, "afterfit_workers") == 2
        assert value(second, "afterfit_memory_bytes") < 1.5 * value(first, "afterfit_memory_bytes")


def shown_by_two(url):
    """The metrics once both workers serve: each is counted as running before it has loaded its models."""
    stop = time.monotonic() + 60
    while value(found := shown(url), "afterfit_model_info", model="toy") != 2:
        assert time.monotonic() < stop, "there are not two workers"
    return found


def shown(url):
    with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as client:
        for _ in range(5):
            # A worker that is killed takes the connections along that it had not accepted yet.
            with suppress(httpx.TransportError):
                return read(client.get(f"{url}/metrics").content)
    raise AssertionError("the server does not answer")


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
