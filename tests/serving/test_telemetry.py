"""What is told of each request: ids that join it to its caller, a line of JSON, a span; and never a value."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.test_server import running

import afterfit
from afterfit.errors import ArgumentError
from afterfit.serving import DataPlane, Telemetry, serve
from afterfit.serving._access_log import AccessLog
from afterfit.serving._http import LEFT, Application
from afterfit.serving._opentelemetry import Spans, is_wanted, why_not
from afterfit.serving._telemetry import Recorder
from afterfit.serving._trace import MAX_ID, begin, find_parent
from afterfit.serving.contracts import NativeContract

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
JSON = (b"content-type", b"application/json")
ROW = {"delay": 3.25, "distance (miles)": 512, "carrier": "UA"}


def traced(**headers: str):
    return begin({name.replace("_", "-").encode(): value.encode() for name, value in headers.items()})


def test_a_request_is_in_the_trace_of_its_caller_with_a_span_of_its_own():
    trace = traced(traceparent=PARENT)
    assert (trace.trace_id, trace.parent.span_id, trace.parent.sampled) == (TRACE, SPAN, True)
    assert trace.span_id != SPAN
    assert find_parent({b"traceparent": PARENT.encode()[:-1] + b"0"}).sampled is False
    later = find_parent({b"traceparent": b"01" + PARENT[2:].encode() + b"-more"})
    assert later.trace_id == TRACE


@pytest.mark.parametrize(
    "stated",
    [
        "",
        PARENT.upper(),
        PARENT + "-more",
        "ff" + PARENT[2:],
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        PARENT[:-1],
        PARENT.replace("-", "_"),
        f"00-{TRACE}x-{SPAN}-01",
    ],
)
def test_a_malformed_parent_is_none(stated):
    trace = traced(traceparent=stated)
    assert trace.parent is None
    assert re.fullmatch("[0-9a-f]{32}", trace.trace_id)
    assert re.fullmatch("[0-9a-f]{16}", trace.span_id)


@given(st.binary(max_size=2 * MAX_ID))
def test_a_request_id_can_break_neither_a_line_nor_a_header(stated):
    found = begin({b"x-request-id": stated}).request_id
    plain = r"[A-Za-z0-9._:/+=@-]{1,128}"
    assert re.fullmatch(plain, found)
    if re.fullmatch(plain.encode(), stated):
        assert found.encode() == stated


@pytest.fixture
def open_app(toy_bundle):
    apps = []

    def make(recorder):
        model = afterfit.load(toy_bundle, threads=1)
        apps.append(Application(lambda: DataPlane([model]), lambda p: [NativeContract(p)], recorder=recorder))
        apps[-1].start()
        return apps[-1]

    yield make
    for app in apps:
        app.stop()


def body(*rows):
    return json.dumps({"rows": rows}).encode()


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_request_is_one_line_that_holds_no_value_of_it(tools, open_app, tmp_path):
    path = tmp_path / "access.log"
    recorder = Recorder(AccessLog(str(path)), None)
    app = open_app(recorder)
    ROW = {"delay": 3.14159265, "distance (miles)": 1234567, "carrier": "no such carrier"}

    async def send():
        ids = [(b"x-request-id", b"mine-7"), (b"traceparent", PARENT.encode())]
        good = await tools.call(app, "POST", "/predict", body(ROW, ROW), [JSON, *ids])
        bad = await tools.call(app, "POST", "/predict", body({**ROW, "delay": "a secret"}), [JSON])
        lost = await tools.call(app, "GET", "/nowhere/" + "x" * 500, headers=[])
        left = await tools.call(app, "POST", "/predict", None, [JSON])
        return good, bad, lost, left

    good, bad, lost, left = asyncio.run(send())
    recorder.close()
    assert good.headers[b"x-request-id"] == b"mine-7"
    assert left is None
    first, second, third, fourth = lines_of(path)
    assert (
        first.items()
        >= {
            "request_id": "mine-7",
            "trace_id": TRACE,
            "parent_id": SPAN,
            "method": "POST",
            "route": "/predict",
            "status": 200,
            "rows": 2,
            "bytes": len(good.body),
        }.items()
    )
    assert first["model"].startswith("toy@")
    assert first["ms"] >= first["model_ms"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", first["time"])
    assert (second["status"], second["model"]) == (422, first["model"])
    assert "rows" not in second
    assert second["request_id"].encode() == bad.headers[b"x-request-id"]
    assert (third["status"], third["route"], len(third["path"])) == (404, None, 200)
    assert lost.headers[b"x-request-id"].decode() == third["request_id"]
    assert (fourth["status"], fourth["bytes"]) == (LEFT, 0)
    text = path.read_text()
    assert not any(value in text for value in ("3.14159265", "1234567", "carrier", "secret"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_requests_that_share_a_run_keep_their_own_lines(tools, open_app, tmp_path):
    path = tmp_path / "access.log"
    recorder = Recorder(AccessLog(str(path)), None)
    app = open_app(recorder)

    async def send():
        sent = [
            tools.call(app, "POST", "/predict", body(*[ROW] * n), [JSON, (b"x-request-id", b"n%d" % n)])
            for n in range(1, 30)
        ]
        return await asyncio.gather(*sent)

    replies = asyncio.run(send())
    recorder.close()
    assert {line["request_id"]: line["rows"] for line in lines_of(path)} == {f"n{n}": n for n in range(1, 30)}
    assert [reply.headers[b"x-request-id"] for reply in replies] == [b"n%d" % n for n in range(1, 30)]


def test_the_name_of_a_key_is_in_the_line(tools, tmp_path):
    class Gate:
        def admit(self, scope, route):
            scope.setdefault("state", {})["key"] = "team-a"

        def leave(self, scope):
            pass

    path = tmp_path / "access.log"
    recorder = Recorder(AccessLog(str(path)), None)
    app = Application(
        lambda: DataPlane([tools.SpyModel()]), lambda p: [NativeContract(p)], gate=Gate(), recorder=recorder
    )
    app.start()
    asyncio.run(tools.call(app, "GET", "/models"))
    app.stop()
    recorder.close()
    assert lines_of(path)[0]["key"] == "team-a"


def test_a_log_that_was_moved_away_is_opened_anew(tmp_path, monkeypatch):
    from afterfit.serving import _access_log

    monkeypatch.setattr(_access_log, "_LOOK_SECONDS", 0.0)
    path = tmp_path / "access.log"

    async def run():
        log = AccessLog(str(path))
        scope = {"method": "GET", "path": "/"}
        for _ in range(2):
            log.write(begin({}), scope, None, 404, 0.1, 0)
            log.flush()
            path.rename(tmp_path / f"{len(list(tmp_path.iterdir()))}.log") if path.exists() else None
        log.write(begin({}), scope, None, 404, 0.1, 0)
        log.close()

    asyncio.run(run())
    assert [len(lines_of(one)) for one in sorted(tmp_path.iterdir())] == [1, 1, 1]


def test_a_disk_that_is_full_is_said_once_and_stops_nothing(tmp_path, monkeypatch, caplog):
    async def run():
        log = AccessLog(str(tmp_path / "access.log"))
        monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        for _ in range(3):
            log.write(begin({}), {"method": "GET", "path": "/"}, None, 404, 0.1, 0)
            log.flush()
        monkeypatch.undo()
        log.close()

    asyncio.run(run())
    assert [record.message for record in caplog.records] == [
        "the access log cannot be written, and lines of it are lost: [Errno 28] No space left"
    ]


def test_a_log_that_cannot_be_written_is_refused_before_anything_starts(toy_bundle, tmp_path):
    with pytest.raises(ArgumentError, match="cannot be written"):
        serve([toy_bundle], telemetry=Telemetry(str(tmp_path)))


def test_workers_share_a_log_and_every_request_is_in_it(toy_bundle, tmp_path):
    path = tmp_path / "access.log"
    with running(toy_bundle, "--workers", 2, "--access-log", path) as (url, _):
        for number in range(40):
            reply = httpx.post(
                f"{url}/predict", json={"rows": [ROW]}, headers={"x-request-id": f"request-{number}"}
            )
            assert reply.headers["x-request-id"] == f"request-{number}"
    found = [line["request_id"] for line in lines_of(path) if line["route"] == "/predict"]
    assert sorted(found) == sorted(f"request-{number}" for number in range(40))


def test_spans_have_the_parent_and_the_outcome_of_their_request(tools, open_app):
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    recorder = Recorder(None, Spans(SimpleSpanProcessor(kept), {}))
    app = open_app(recorder)

    async def send():
        await tools.call(app, "POST", "/predict", body(ROW, ROW), [JSON, (b"traceparent", PARENT.encode())])
        await tools.call(app, "POST", "/predict", body({}), [JSON])
        await tools.call(app, "GET", "/models", headers=[(b"traceparent", PARENT.encode()[:-1] + b"0")])

    asyncio.run(send())
    first, second = kept.get_finished_spans()
    assert format(first.context.trace_id, "032x") == TRACE
    assert format(first.parent.span_id, "016x") == SPAN
    assert first.name == "POST /predict"
    assert first.attributes["http.response.status_code"] == 200
    assert first.attributes["afterfit.rows"] == 2
    assert first.resource.attributes["service.name"] == "afterfit"
    assert second.parent is None
    assert second.attributes["http.response.status_code"] == 422
    # The third was not sampled by its caller, and is told by nobody.
    recorder.close()


def test_spans_reach_a_collector_that_the_environment_names(toy_bundle, monkeypatch):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    got: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/traces"
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever).start()
        try:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
            monkeypatch.setenv("OTEL_SERVICE_NAME", "flights-service")
            with running(toy_bundle) as (url, _):
                httpx.post(f"{url}/predict", json={"rows": [ROW]}, headers={"traceparent": PARENT})
        finally:
            collector.shutdown()
    requests = [ExportTraceServiceRequest.FromString(one) for one in got]
    resources = [resource for request in requests for resource in request.resource_spans]
    spans = [span for one in resources for scope in one.scope_spans for span in scope.spans]
    (mine,) = [span for span in spans if span.name == "POST /predict"]
    assert mine.trace_id.hex() == TRACE
    assert mine.parent_span_id.hex() == SPAN
    named = {one.key: one.value.string_value for one in resources[0].resource.attributes}
    assert named["service.name"] == "flights-service"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_decide(environment, wanted):
    assert is_wanted(environment) is wanted


def test_what_cannot_be_exported_is_said_and_not_silently_left_out(monkeypatch):
    assert why_not({}) is None
    assert "grpc" in why_not({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "afterfit[otel]" in why_not({})
