"""The real server with keys: over TLS, in several workers, against clients that are slow or many."""

from __future__ import annotations

import json
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest
from tests.serving.test_server import COMMAND, environment, running

from afterfit.serving._security import KeyLimits, create_key, revoke_key


def command(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "afterfit", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment(), **variables},
        check=False,
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def made(keys):
    """Keys made before the server starts."""
    return {
        "predict": create_key(keys, "mobile", "predict")[0],
        "admin": create_key(keys, "root", "admin")[0],
        "daily": create_key(keys, "daily", "predict", limits=KeyLimits(requests_per_day=30))[0],
    }


@pytest.fixture(scope="module")
def server(toy_bundle, keys, made):
    with running(toy_bundle, "--workers", 2, "--keys", keys, "--client-timeout", 2) as (url, process):
        yield url, process


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def statuses(url, key, count, path="/models"):
    """Of requests on connections of their own, which the kernel spreads over the workers."""
    return [httpx.get(url + path, headers=bearer(key)).status_code for _ in range(count)]


def wait_until(found, seconds=60):
    stop = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < stop


def test_keys_rotate_in_every_worker_without_a_restart(server, keys, made):
    url = server[0]
    assert set(statuses(url, made["predict"], 8)) == {200}
    assert httpx.get(f"{url}/models").status_code == 401
    assert httpx.get(f"{url}/health/ready").status_code == 200
    new, _ = create_key(keys, "new", "predict")
    wait_until(lambda: set(statuses(url, new, 8)) == {200})
    revoke_key(keys, "new")
    wait_until(lambda: set(statuses(url, new, 8)) == {401})
    assert set(statuses(url, made["predict"], 8)) == {200}


def test_a_quota_is_of_all_workers(server, made):
    url = server[0]
    with ThreadPoolExecutor(8) as pool:
        found = [
            one for part in pool.map(lambda _: statuses(url, made["daily"], 8), range(8)) for one in part
        ]
    assert sorted(found) == [200] * 30 + [429] * 34


def test_counts_of_keys_are_of_all_workers_and_for_admins(server, made):
    url = server[0]
    before = counted(url, made)
    row = httpx.get(f"{url}/models/toy", headers=bearer(made["predict"])).json()["example"]
    for _ in range(20):
        reply = httpx.post(f"{url}/predict", json=row, headers=bearer(made["predict"]))
        assert reply.status_code == 200
    assert counted(url, made) - before == 20
    assert httpx.get(f"{url}/metrics", headers=bearer(made["predict"])).status_code == 403


def counted(url, made):
    lines = httpx.get(f"{url}/metrics", headers=bearer(made["admin"])).text.splitlines()
    found = [line.split()[-1] for line in lines if line.startswith('afterfit_key_rows_total{key="mobile"}')]
    return int(found[0]) if found else 0


@contextmanager
def connection(url):
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as made:
        yield made


def answer(opened):
    received = b""
    while part := opened.recv(65536):
        received += part
    return received


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"GET /models HTTP/1.1\r\nhost: x\r\n", b""),
        (b"POST /predict HTTP/1.1\r\nhost: x\r\nKEYcontent-length: 100\r\n\r\n", b"408"),
        (b"POST /predict HTTP/1.1\r\nhost: x\r\nKEYcontent-length: 100\r\n\r\n{", b"408"),
        (b"POST /predict HTTP/1.1\r\nhost: x\r\nKEYtransfer-encoding: chunked\r\n\r\n1\r\n{\r\n", b"408"),
        (b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{", b"401"),
    ],
    ids=["nothing", "half a head", "no body", "half a body", "chunks", "half a body of a stranger"],
)
def test_slow_clients_are_answered_and_closed(server, made, sent, status):
    key = f"authorization: Bearer {made['predict']}\r\ncontent-type: application/json\r\n".encode()
    with connection(server[0]) as opened:
        opened.sendall(sent.replace(b"KEY", key))
        received = answer(opened)
    assert received.partition(b" ")[2][:3] == status
    if status:
        assert b"content-length" in received


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's time-out for unread data is Linux's")
def test_a_client_that_reads_no_answer_is_closed(server, made):
    host, port = server[0].removeprefix("http://").split(":")
    example = httpx.get(f"{server[0]}/models/toy", headers=bearer(made["predict"])).json()["example"]
    body = json.dumps({"rows": example["rows"] * 5000}).encode()
    head = f"authorization: Bearer {made['predict']}\r\ncontent-type: application/json\r\n"
    request = (
        f"POST /predict HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body
    )
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.connect((host, int(port)))
        opened.settimeout(1)
        with suppress(OSError):
            while True:
                opened.sendall(request)
        ended = select.poll()
        ended.register(opened, 0)
        assert ended.poll(60_000), "the connection is still open"


def test_connections_that_say_nothing_do_not_keep_others_out(server, made):
    """Each ends in time, and gives its place to another."""
    host, port = server[0].removeprefix("http://").split(":")
    with ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=30)) for _ in range(100)
        ]
        assert set(statuses(server[0], made["predict"], 4)) == {200}
        for one in idle:
            assert one.recv(1) == b""


def test_connections_are_bounded_and_the_next_waits(toy_bundle):
    """A worker that holds four connections, all taken by clients that say nothing."""
    code = (
        "from afterfit.serving import _server\n_server.CONNECTIONS = 4\nfrom afterfit.cli import main\nmain()"
    )
    arguments = ["serve", str(toy_bundle), "--port", "0", "--client-timeout", "2"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            url = process.stdout.readline().split(" at ")[1].split()[0]
            host, port = url.removeprefix("http://").split(":")
            with ExitStack() as stack:
                opened = [
                    stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
                    for _ in range(4)
                ]
                for one in opened:
                    # Once it is answered, the server holds it.
                    one.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
                    assert one.recv(12) == b"HTTP/1.1 200"
                    while b"live" not in one.recv(4096):
                        pass
                fifth = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
                fifth.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                first, _, _ = select.select([fifth, *opened], [], [], 30)
                # An idle one ended, and the fifth may have its answer by the time that this is seen.
                assert set(first) & set(opened)
                assert answer(fifth).startswith(b"HTTP/1.1 200")
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_answers_tell_no_version_and_no_trace(server, made):
    url = server[0]
    for reply in (
        httpx.get(f"{url}/nothing", headers=bearer(made["predict"])),
        httpx.get(f"{url}/models"),
        httpx.get(f"{url}/health/live"),
        httpx.post(f"{url}/predict", content=b"\xff", headers=bearer(made["predict"])),
        httpx.get(f"{url}/", headers={"accept": "text/html"}),
    ):
        text = reply.text + json.dumps(dict(reply.headers))
        assert "Traceback" not in text
        assert "0." not in reply.headers["server"]
        assert "x-powered-by" not in reply.headers
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_tls(toy_bundle, keys, made, tmp_path):
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for number, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(tmp_path / "chain.pem", append=number > 0)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    arguments = [
        toy_bundle,
        "--tls-cert",
        tmp_path / "chain.pem",
        "--tls-key",
        tmp_path / "key.pem",
        "--keys",
        keys,
    ]
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
            url = process.stdout.readline().split(" at ")[1].split()[0]
            assert url.startswith("https://127.0.0.1:")
            with httpx.Client(verify=trusted) as client:
                reply = client.get(f"{url}/models", headers=bearer(made["predict"]))
                assert [model["name"] for model in reply.json()["models"]] == ["toy"]
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{url}/models")
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"http{url.removeprefix('https')}/models")
            for version, spoken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
                assert speaks(trusted_of(tmp_path, version), url) == spoken
        finally:
            process.terminate()
            process.communicate(timeout=30)
            guard.cancel()
    assert process.returncode == 0


def trusted_of(folder, version):
    import warnings

    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def speaks(context, url):
    try:
        return httpx.get(f"{url}/health/live", verify=context).status_code == 200
    except httpx.HTTPError:
        return False


def test_pages_of_an_origin_may_call(toy_bundle):
    origin = {"origin": "https://app.example", "access-control-request-method": "POST"}
    with running(toy_bundle, "--cors-origin", "https://app.example") as (url, _):
        assert httpx.options(f"{url}/predict", headers=origin).status_code == 204
        reply = httpx.get(f"{url}/models", headers={"origin": "https://app.example"})
        assert reply.headers["access-control-allow-origin"] == "https://app.example"
        assert httpx.get(f"{url}/models", headers={"host": "evil.example"}).status_code == 403


def test_what_is_refused_before_anything_starts(toy_bundle, tmp_path):
    refused = command("serve", toy_bundle, "--host", "0.0.0.0", "--port", 0)
    assert refused.returncode == 2
    assert "can be reached from other machines" in refused.stderr
    assert "Traceback" not in refused.stderr
    refused = command("serve", toy_bundle, "--port", 0, AFTERFIT_KEYS=str(tmp_path / "none.json"))
    assert refused.returncode == 2
    assert "none.json cannot be read" in refused.stderr
