"""Whatever is sent, the answer is one well-formed response that is no 500, and the log stays empty."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

ARROW = b"application/vnd.apache.arrow.stream"
PARQUET = b"application/vnd.apache.parquet"
KNOWN = {200, 400, 404, 405, 408, 413, 415, 422, 503}
ODD_VALUES = [
    None, True, False, 0, -1, 1.5, 1e308, -1e308, 10**30, "", "1", "a", "NaN", "Infinity", "nan", "\x1a", "\u0000",
    "\ud800", "é" * 50, [], {}, [[]], {"x": 1}, [1] * 30,
]  # fmt: skip
PATHS = [
    "/predict", "/models/spy/predict", "/models/spy", "/models", "/", "/docs", "/openapi.json", "/health/live",
    "/health/ready", "/models/", "/models//predict", "/models/spy/", "//predict", "/predict/",
    "/models/ \ud800/predict",
    "", "*", "/../../etc/passwd", "/models/" + "x" * 5000, "/%00", "/models/spy\x00", "/metrics", "/favicon.ico",
]  # fmt: skip
CONTRACTS = [
    "/v2/models/spy/infer", "/v2/models/spy/versions/0123456789ab/infer", "/invocations", "/v1/models/spy:predict",
    "/vertex/predict",
]  # fmt: skip
PATHS += [
    *CONTRACTS, "/v2", "/v2/", "/v2/health/live", "/v2/models/spy", "/v2/models/spy/ready", "/v2/models/spy/config",
    "/v2/models/spy/stats", "/v2/models/stats", "/v2/models/spy/versions/", "/v2/repository/index", "/ping", "/version",
    "/v1/models", "/v1/models/spy", "/v1/models/spy:explain", "/vertex/health", "/predict", "/check",
]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT", "", "BREW", "get"]
HEADERS = [
    (b"content-type", b"application/json"), (b"content-type", b"application/json;charset=latin-1"),
    (b"content-type", b"text/csv"), (b"content-type", b""), (b"content-type", b";;;="), (b"content-type", b"\xff\x00"),
    (b"content-encoding", b"gzip"), (b"content-encoding", b"identity"), (b"content-encoding", b"\xfe"),
    (b"content-length", b"0"), (b"content-length", b"-5"), (b"content-length", b"99999999999999999999999"),
    (b"content-length", b"12abc"), (b"content-length", b"4001"), (b"content-length", "٣".encode()),
    (b"inference-header-content-length", b"40"), (b"inference-header-content-length", b"-1"),
    (b"inference-header-content-length", b"9999999"), (b"inference-header-content-length", "٣".encode()),
    (b"accept-encoding", b"gzip"), (b"accept-encoding", b"deflate;q=0, gzip;q=x"), (b"accept-encoding", b"\xff,;;"),
    (b"accept", b"text/csv"), (b"accept", b"application/vnd.apache.arrow.stream"), (b"accept", b"\xff;;,q=0"),
    (b"accept", b"application/vnd.apache.parquet"), (b"content-type", b"application/octet-stream"),
    (b"content-type", b"application/vnd.apache.arrow.stream"), (b"content-type", b"application/vnd.apache.parquet"),
    (b"content-type", b"text/csv; header=absent"), (b"x-request-timeout", b"1e-9"),
    (b"transfer-encoding", b"chunked"), (b"expect", b"100-continue"), (b"host", b""), (b"accept", b"image/png"),
]  # fmt: skip


def make_row(rng: random.Random) -> object:
    if rng.random() < 0.03:
        return rng.choice(ODD_VALUES)
    row: dict[str, object] = {
        "x": rng.choice([1, 2.5, None, "NaN"]),
        "y": rng.random(),
        "kind": rng.choice("ab"),
    }
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        row[rng.choice(["x", "y", "kind", "z", "", "\ud800", "kind ", "rows"])] = rng.choice(ODD_VALUES)
    if rng.random() < 0.1:
        del row[rng.choice(list(row))]
    return row


def make_tensor(rng: random.Random, rows: int) -> tuple[object, bytes]:
    """An input of the Open Inference Protocol and its bytes, most often a good one."""
    name, datatype = rng.choice(
        [("x", "FP64"), ("y", "FP32"), ("kind", "BYTES"), ("number", "FP64"), ("", "INT8")]
    )
    tensor: dict[str, object] = {"name": name, "shape": [rows, 1], "datatype": datatype}
    values = ["a"] * rows if datatype == "BYTES" else [rng.choice([1, 2.5, -3])] * rows
    data = b""
    if rng.random() < 0.4:
        data = (
            b"\x01\0\0\0a" * rows if datatype == "BYTES" else bytes(rows * (8 if datatype == "FP64" else 4))
        )
        tensor["parameters"] = {"binary_data_size": len(data)}
    else:
        tensor["data"] = values
    if rng.random() < 0.3:
        key = rng.choice(["name", "shape", "datatype", "data", "parameters"])
        tensor[key] = rng.choice(
            [*ODD_VALUES, [rows], [rows, rows], [2**39], "UINT64", {"binary_data_size": 1}]
        )
    return tensor, data


def make_tensors(rng: random.Random) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """A request of the Open Inference Protocol, and the header that says where its JSON ends."""
    rows = rng.choice([1, 1, 2, 5, 25])
    if rng.random() < 0.4:
        parts = [
            ({"name": name, "shape": [rows], "datatype": datatype, "data": values * rows}, b"")
            for name, datatype, values in (("x", "FP64", [1.5]), ("y", "INT8", [3]), ("kind", "BYTES", ["a"]))
        ]
    else:
        parts = [make_tensor(rng, rows) for _ in range(rng.choice([1, 2, 3]))]
    request: dict[str, object] = {"inputs": [part[0] for part in parts]}
    for key in rng.sample(
        ["id", "parameters", "outputs", "inputs", "model_name"], rng.choice([0, 0, 0, 1, 2])
    ):
        request[key] = rng.choice(
            [
                *ODD_VALUES,
                {"timeout": rng.choice([1, 10**30, -1, "x"])},
                {"binary_data_output": True},
                [{"name": "prediction", "parameters": {"binary_data": True}}],
                [{"name": "\ud800"}],
            ]
        )
    head = json.dumps(request, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    length = [(b"inference-header-content-length", b"%d" % len(head))] if rng.random() < 0.8 else []
    return head + b"".join(part[1] for part in parts), length


def make_form(rng: random.Random) -> bytes:
    """A body of MLflow, KServe or Vertex AI, most often a good one."""
    count = rng.choice([0, 1, 1, 2, 5, 21])
    rows: list[object] = [make_row(rng) for _ in range(count)]
    if rng.random() < 0.5:
        rows = [[rng.choice([1, 2.5, None]), 3, rng.choice(["a", "b"] * 8 + ["c", 1])] for _ in range(count)]
    names: object = rng.choice([["x", "y", "kind"], ["kind", "x"], ["x"] * 3, [1, 2, 3], None, "xyz"])
    forms: dict[str, object] = {
        "instances": rows,
        "inputs": rng.choice([rows, {"x": [1] * count, "y": [2] * count, "kind": ["a"] * count}]),
        "dataframe_records": rows,
        "dataframe_split": {"columns": names, "data": rows},
    }
    keys = rng.sample(sorted(forms), rng.choice([1, 1, 1, 1, 2]))
    body = {key: forms[key] if rng.random() < 0.9 else rng.choice(ODD_VALUES) for key in keys}
    if rng.random() < 0.2:
        body[rng.choice(["params", "parameters"])] = rng.choice(
            [*ODD_VALUES, {"output": "probabilities"}, {"output": []}]
        )
    return json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def make_file(rng: random.Random) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """A body of CSV, Arrow or Parquet, often a damaged one."""
    import io

    pa = pytest.importorskip("pyarrow", reason="files are read with pyarrow")
    import pyarrow.ipc
    import pyarrow.parquet

    count = rng.choice([0, 1, 3, 25])
    columns = {"x": [1.5] * count, "y": [2] * count, "kind": ["a"] * count}
    for name in rng.sample(sorted(columns), rng.choice([0, 0, 0, 1])):
        columns[name] = [rng.choice([None, "z", "\x1a"])] * count
    kind = rng.choice(["csv", "arrow", "parquet"])
    file = io.BytesIO()
    if kind == "csv":
        lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        body = rng.choice(["\n", "\r\n", "\r"]).join(lines).encode()
    else:
        table = pa.table(columns)
        if kind == "parquet":
            pyarrow.parquet.write_table(table, file)
        else:
            with pyarrow.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table)
        body = file.getvalue()
    types = {"csv": b"text/csv", "arrow": ARROW, "parquet": PARQUET}
    return body, [(b"content-type", types[kind])]


def make_body(rng: random.Random) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """A body and the headers that it needs."""
    kind = rng.random()
    headers: list[tuple[bytes, bytes]] = []
    if kind < 0.25:
        body, headers = make_tensors(rng)
    elif kind < 0.45:
        body = make_form(rng)
    elif kind < 0.55:
        body, headers = make_file(rng)
    else:
        body = make_json(rng)
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        if body:
            place = rng.randrange(len(body))
            body = rng.choice(
                [
                    body[:place],
                    body[:place] + rng.randbytes(rng.randrange(4)) + body[place + 1 :],
                    body[:place] + body[place : place + 10] * 3 + body[place:],
                    body[:place] + b"\\u0000" + body[place:],
                    body.replace(b'"x"', b'"x":1,"x"'),
                ]
            )
    return body, headers


def make_json(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.1:
        return rng.randbytes(rng.choice([0, 1, 30, 3000, 5000]))
    if kind < 0.15:
        return rng.choice([b"[", b'{"rows":', b'{"a":', b'{"rows":[{"x":', b'{"instances":[']) * rng.choice(
            [1, 50, 1500]
        )
    value: object = {"rows": [make_row(rng) for _ in range(rng.choice([0, 1, 1, 1, 2, 5, 21, 25]))]}
    if kind < 0.2:
        value = rng.choice(ODD_VALUES)
    elif kind < 0.25:
        value = {rng.choice(["rows", "row", "Rows", ""]): rng.choice(ODD_VALUES)}
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def make_request(
    rng: random.Random,
) -> tuple[str, str, bytes | list[bytes] | None, list[tuple[bytes, bytes]]]:
    made, needed = make_body(rng)
    body: bytes | list[bytes] | None = made
    if rng.random() < 0.3:
        size = rng.choice([1, 7, 64, 1000])
        body = [made[i : i + size] for i in range(0, min(len(made), 200 * size), size)] or [b""]
    elif rng.random() < 0.02:
        body = None
    method = "POST" if rng.random() < 0.8 else rng.choice(METHODS)
    path = rng.choice([*PATHS[:2], *CONTRACTS]) if rng.random() < 0.8 else rng.choice(PATHS)
    if rng.random() < 0.7:
        if made.startswith(b'{"inputs": [{"name'):
            path = rng.choice(CONTRACTS[:2])
        elif made.startswith((b'{"instances', b'{"inputs', b'{"dataframe')):
            path = rng.choice(CONTRACTS[2:])
        elif needed:
            path = rng.choice([*PATHS[:2], "/invocations"])
    headers = dict(rng.sample(HEADERS, rng.choice([0, 0, 1, 1, 2, 4])))
    return method, path, body, [*(headers | dict(needed)).items()]


@pytest.mark.parametrize(
    "turns", [500, pytest.param(5000, marks=pytest.mark.sweep)], ids=["ten thousand", "a hundred thousand"]
)
def test_hostile_requests(tools, shared_app, caplog, turns):
    rng = random.Random(20131 + turns)
    seen: dict[int, int] = {}
    good: dict[str, int] = {}

    async def one(request):
        reply = await tools.call(shared_app, *request)
        if reply is None:
            assert request[2] is None
            return
        assert reply.status in KNOWN, (request, reply)
        seen[reply.status] = seen.get(reply.status, 0) + 1
        assert b"Traceback" not in reply.body
        if reply.status == 200:
            good[request[1]] = good.get(request[1], 0) + 1
        if request[0] == "HEAD":
            return
        if reply.status >= 400:
            problem = json.loads(reply.body)
            if reply.headers[b"content-type"] == b"application/problem+json":
                assert problem["status"] == reply.status
            else:
                assert reply.headers[b"content-type"] == b"application/json"
                assert isinstance(problem.get("error", problem.get("message")), str)
        elif b"content-encoding" in reply.headers:
            assert reply.headers[b"content-encoding"] in {b"gzip", b"deflate"}
        elif reply.headers[b"content-type"] == b"application/json":
            json.loads(reply.body)

    async def main():
        for _ in range(turns):
            await asyncio.gather(*[one(make_request(rng)) for _ in range(20)])

    asyncio.run(main())
    assert caplog.records == []
    assert shared_app._plane._held_bytes == 0
    for status in (200, 400, 404, 405, 413, 415, 422):
        assert seen.get(status, 0) >= 50, seen
    for path in ["/predict", *CONTRACTS]:
        assert good.get(path, 0) >= 10, good


def test_good_rows_among_bad_ones_are_answered_with_their_own_answers(tools, shared_app):
    rng = random.Random(7)

    async def good(value):
        reply = await tools.call(shared_app, "POST", "/predict", tools.rows(tools.row(x=value)))
        assert reply.json["predictions"] == [value]

    async def bad():
        await tools.call(shared_app, *make_request(rng))

    async def main():
        for start in range(0, 400, 20):
            tasks = [good(float(start + i)) for i in range(20)] + [bad() for _ in range(20)]
            rng.shuffle(tasks)
            await asyncio.gather(*tasks)

    asyncio.run(main())
