"""The real server, on loopback, as people start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import afterfit
from afterfit.serving import serve

COMMAND = ["-m", "afterfit", "serve"]


def environment():
    source = str(Path(afterfit.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}


@contextmanager
def running(*arguments, expect_complaints=False, code=0):
    """The URL of a server and its process, which is stopped at the end, and must say nothing on stderr."""
    with subprocess.Popen(
        [sys.executable, *COMMAND, *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        guard = threading.Timer(120, process.kill)
        guard.start()
        try:
            line = process.stdout.readline()
            assert "http://127.0.0.1:" in line, (line, process.stderr.read() if not line else "")
            yield line[line.index("http://") :].split()[0], process
        finally:
            process.terminate()
            rest, complaints = process.communicate(timeout=30)
            guard.cancel()
    assert rest == "", "more than one line on standard output"
    assert complaints == "" or expect_complaints
    assert process.returncode == code


@pytest.fixture(scope="module")
def server(toy_bundle):
    with running(toy_bundle, "--max-body", 100_000, "--max-rows", 500) as (url, process):
        yield url, process


@pytest.fixture(scope="module")
def golden(toy_bundle):
    model = afterfit.load(toy_bundle)
    inputs = [golden.input for golden in model.bundle.golden]
    return inputs, model.predict(inputs).tolist(), model.predict_proba(inputs)


def test_the_first_request_after_the_ready_line_is_answered(server, golden):
    inputs, labels, _ = golden
    reply = httpx.post(f"{server[0]}/predict", json={"rows": inputs})
    assert reply.status_code == 200
    assert reply.json()["predictions"] == labels


def test_many_clients_at_once_each_get_their_own_answers(server, golden):
    inputs, labels, probabilities = golden

    def client(number):
        with httpx.Client(base_url=server[0]) as connection:
            for turn in range(25):
                at = (number * 7 + turn) % len(inputs)
                answer = connection.post("/predict", json={"rows": [inputs[at]]}).json()
                assert answer["predictions"] == [labels[at]]
                assert abs(answer["probabilities"][0] - probabilities[at]).max() <= 1e-12

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(client, range(32)))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_answered_though_it_is_not_kept(server, chunked):
    body = b'{"rows": [' + b" " * 3_000_000 + b"]}"
    content = iter([body[i : i + 65536] for i in range(0, len(body), 65536)]) if chunked else body
    reply = httpx.post(f"{server[0]}/predict", content=content, headers={"content-type": "application/json"})
    assert reply.status_code == 413
    assert reply.headers["content-type"] == "application/problem+json"


def test_more_rows_than_the_limit_are_refused(server, golden):
    row = golden[0][0]
    assert httpx.post(f"{server[0]}/predict", json={"rows": [row] * 500}).status_code == 200
    assert httpx.post(f"{server[0]}/predict", json={"rows": [row] * 501}).status_code == 413


def test_what_is_not_http_and_clients_that_leave_do_no_harm(server, golden):
    host, port = server[0].removeprefix("http://").split(":")
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    hostile = [
        b"\x00\xff" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        head + b"content-length: 100\r\n\r\n{",
        head + b"content-length: -1\r\n\r\n{}",
        head + b"content-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        head + b"transfer-encoding: chunked\r\n\r\nZZ\r\n",
        head + b"transfer-encoding: chunked\r\n\r\n10000\r\n" + b"[" * 50_000,
        head + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
    ]
    for message in hostile:
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(message)
    reply = httpx.post(f"{server[0]}/predict", json={"rows": golden[0][:1]})
    assert reply.status_code == 200


def test_names_with_spaces_and_other_letters_are_found(toy_bundle, tmp_path):
    renamed = rename(toy_bundle, tmp_path / "renamed.afit", "vols d'été")
    with running(toy_bundle, renamed) as (url, _):
        names = [model["name"] for model in httpx.get(f"{url}/models").json()["models"]]
        assert names == ["toy", "vols d'été"]
        for model in httpx.get(f"{url}/models").json()["models"]:
            example = httpx.get(f"{url}/models/{model['name']}").json()["example"]
            assert httpx.post(url + model["predict"], json=example).json()["model"] == model["name"]


def test_workers_answer_alike_and_one_that_dies_is_replaced(toy_bundle, golden):
    inputs, labels, _ = golden
    with subprocess.Popen(
        [sys.executable, *COMMAND, str(toy_bundle), "--port", "0", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        try:
            url = process.stdout.readline().split("at ")[1].split()[0]
            before = children(process.pid)
            assert len(before) == 2
            os.kill(before[0], signal.SIGKILL)
            # granian says that a worker ended before it starts another.
            assert "worker" in process.stderr.readline()
            transport = httpx.HTTPTransport(retries=3)
            with httpx.Client(transport=transport) as client:
                for _ in range(20):
                    assert (
                        client.post(f"{url}/predict", json={"rows": inputs}).json()["predictions"] == labels
                    )
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(toy_bundle, how):
    with running(toy_bundle) as (url, process):
        assert httpx.get(f"{url}/health/ready").json() == {"status": "ready"}
        workers = children(process.pid)
        process.send_signal(how)
        process.wait(timeout=30)
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


def test_workers_end_when_the_process_above_them_is_killed(toy_bundle):
    with subprocess.Popen(
        [sys.executable, *COMMAND, str(toy_bundle), "--port", "0", "--workers", "2"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout.readline()
        process.kill()
        # Workers hold the other end; it reads as ended once the last of them is gone.
        assert process.stdout.read() == ""


def serve_and_fail(arguments, **options):
    with pytest.raises(afterfit.AfterfitError) as caught:
        serve(arguments, **options)
    return str(caught.value)


def test_a_bundle_that_cannot_be_trusted_is_refused_before_anything_starts(toy_bundle, tmp_path):
    broken = tmp_path / "broken.afit"
    content = bytearray(toy_bundle.read_bytes())
    content[len(content) // 2] ^= 0xFF
    broken.write_bytes(content)
    assert serve_and_fail([toy_bundle, broken], port=0)
    broken.write_bytes(b"not a bundle")
    assert serve_and_fail([broken], port=0)


def test_two_bundles_of_one_name_are_refused(toy_bundle):
    assert "are one version of 'toy'" in serve_and_fail([toy_bundle, toy_bundle], port=0)


def test_an_address_that_is_taken_is_refused(toy_bundle, server):
    port = int(server[0].rpartition(":")[2])
    assert f"cannot listen on 127.0.0.1:{port}" in serve_and_fail([toy_bundle], port=port)
    assert "cannot listen on nowhere.invalid:1" in serve_and_fail(
        [toy_bundle], host="nowhere.invalid", port=1
    )


def test_nothing_to_serve_and_no_workers_are_refused(toy_bundle):
    assert "no bundle" in serve_and_fail([])
    assert "0 workers" in serve_and_fail([toy_bundle], workers=0)


def test_the_server_stays_small_and_never_loads_what_trains(server):
    """Resident memory of the whole server, pages counted once, and the modules a worker maps."""
    pids = [server[1].pid, *children(server[1].pid)]
    total = 0
    for pid in pids:
        smaps = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in smaps.splitlines() if line.startswith("Pss:"))
        maps = Path(f"/proc/{pid}/maps").read_text()
        for name in ("sklearn", "scipy", "pandas", "polars", "pyarrow", "torch"):
            assert f"/{name}/" not in maps
    assert total < 150 * 1024, f"{total // 1024} MB"


def rename(source, target, name):
    import msgspec

    from afterfit.bundle import read_bundle, write_bundle

    bundle = read_bundle(source)
    write_bundle(
        target,
        manifest=msgspec.structs.replace(bundle.manifest, name=name),
        schema=bundle.schema,
        graph=bundle.graph,
        golden=bundle.golden,
        entries=bundle.entries,
    )
    return target


def test_metrics_add_up_over_workers(toy_bundle, golden):
    row = golden[0][0]
    with running(toy_bundle, "--workers", 2) as (url, _):
        for _ in range(40):
            assert httpx.post(f"{url}/predict", json={"rows": [row]}).status_code == 200
        lines = httpx.get(f"{url}/metrics").text.splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert found['afterfit_requests_total{method="POST",route="/predict",status="200"}'] == "40"
    assert found["afterfit_workers"] == "2"
