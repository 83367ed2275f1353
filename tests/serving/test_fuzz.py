"""Whatever is sent, the answer is one well-formed response that is no 500, and the log stays empty."""

from __future__ import annotations

import asyncio
import json
import random

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
METHODS = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT", "", "BREW", "get"]
HEADERS = [
    (b"content-type", b"application/json"), (b"content-type", b"application/json;charset=latin-1"),
    (b"content-type", b"text/csv"), (b"content-type", b""), (b"content-type", b";;;="), (b"content-type", b"\xff\x00"),
    (b"content-encoding", b"gzip"), (b"content-encoding", b"identity"), (b"content-encoding", b"\xfe"),
    (b"content-length", b"0"), (b"content-length", b"-5"), (b"content-length", b"99999999999999999999999"),
    (b"content-length", b"12abc"), (b"content-length", b"4001"), (b"content-length", "٣".encode()),
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


def make_body(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.1:
        return rng.randbytes(rng.choice([0, 1, 30, 3000, 5000]))
    if kind < 0.15:
        return rng.choice([b"[", b'{"rows":', b'{"a":', b'{"rows":[{"x":']) * rng.choice([1, 50, 1500])
    value: object = {"rows": [make_row(rng) for _ in range(rng.choice([0, 1, 1, 1, 2, 5, 21, 25]))]}
    if kind < 0.2:
        value = rng.choice(ODD_VALUES)
    elif kind < 0.25:
        value = {rng.choice(["rows", "row", "Rows", ""]): rng.choice(ODD_VALUES)}
    body = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
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
    return body


def make_request(
    rng: random.Random,
) -> tuple[str, str, bytes | list[bytes] | None, list[tuple[bytes, bytes]]]:
    body: bytes | list[bytes] | None = make_body(rng)
    if rng.random() < 0.3:
        size = rng.choice([1, 7, 64, 1000])
        body = [body[i : i + size] for i in range(0, min(len(body), 200 * size), size)] or [b""]
    elif rng.random() < 0.02:
        body = None
    method = "POST" if rng.random() < 0.8 else rng.choice(METHODS)
    path = rng.choice(PATHS[:2]) if rng.random() < 0.8 else rng.choice(PATHS)
    headers = rng.sample(HEADERS, rng.choice([0, 0, 1, 1, 2, 4]))
    return method, path, body, headers


def test_ten_thousand_hostile_requests(tools, shared_app, caplog):
    rng = random.Random(20131)
    seen: dict[int, int] = {}

    async def one(request):
        reply = await tools.call(shared_app, *request)
        if reply is None:
            assert request[2] is None
            return
        assert reply.status in KNOWN, (request, reply)
        seen[reply.status] = seen.get(reply.status, 0) + 1
        assert b"Traceback" not in reply.body
        if request[0] == "HEAD":
            return
        if reply.status >= 400:
            problem = json.loads(reply.body)
            assert problem["status"] == reply.status
            assert reply.headers[b"content-type"] == b"application/problem+json"
        elif reply.headers[b"content-type"] == b"application/json":
            json.loads(reply.body)

    async def main():
        for _ in range(500):
            await asyncio.gather(*[one(make_request(rng)) for _ in range(20)])

    asyncio.run(main())
    assert caplog.records == []
    assert shared_app._plane._held_bytes == 0
    for status in (200, 400, 404, 405, 413, 415, 422):
        assert seen.get(status, 0) >= 50, seen


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
