from __future__ import annotations

import asyncio

import pytest

from afterfit.errors import AfterfitError
from afterfit.serving import Limits
from afterfit.serving._http import Application


def send(tools, app, method="POST", path="/predict", body=b"", headers=None):
    return asyncio.run(tools.call(app, method, path, body, headers))


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/predict", b"POST"),
        ("PUT", "/models/spy/predict", b"POST"),
        ("POST", "/models", b"GET, HEAD"),
        ("DELETE", "/models/spy", b"GET, HEAD"),
        ("OPTIONS", "/", b"GET, HEAD"),
    ],
)
def test_405_names_what_is_allowed(tools, spy_app, method, path, allow):
    reply = send(tools, spy_app, method, path)
    assert reply.status == 405
    assert reply.headers[b"allow"] == allow
    assert reply.headers[b"content-type"] == b"application/problem+json"


def test_404_suggests_a_path(tools, spy_app):
    reply = send(tools, spy_app, "POST", "/predikt")
    assert reply.status == 404
    assert "Did you mean /predict?" in reply.json["detail"]
    assert send(tools, spy_app, "GET", "/xyzzy" * 1000).status == 404


def test_head_is_get_without_the_body(tools, spy_app):
    full, head = send(tools, spy_app, "GET", "/models"), send(tools, spy_app, "HEAD", "/models")
    assert head.status == 200
    assert head.headers == full.headers
    assert send(tools, spy_app, "HEAD", "/nothing").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([(b"content-type", b"application/json")], 200),
        ([(b"content-type", b"Application/JSON; charset=utf-8")], 200),
        ([(b"content-type", b"")], 200),
        ([(b"content-type", b"application/json"), (b"content-encoding", b"identity")], 200),
        ([(b"content-type", b"text/plain")], 415),
        ([(b"content-type", b"application/x-www-form-urlencoded")], 415),
        ([(b"content-type", b"\xff\xfe")], 415),
        ([(b"content-type", b"application/json"), (b"content-encoding", b"br")], 415),
    ],
)
def test_content_types(tools, spy_app, headers, status):
    reply = send(tools, spy_app, body=tools.rows(tools.row()), headers=headers)
    assert reply.status == status
    if status == 415:
        assert reply.headers[b"content-type"] == b"application/problem+json"
        assert b"accept" in reply.headers or b"accept-encoding" in reply.headers


def body_of(size):
    return b'{"rows": [' + b" " * (size - 12) + b"]}"


@pytest.mark.parametrize("chunk_size", [1, 7, 100, 5000])
def test_the_body_limit_holds_however_the_bytes_come(tools, chunk_size):
    app = tools.make_app(tools.SpyModel(), limits=Limits(max_body=500))
    for size, status in ((500, 422), (501, 413), (3000, 413)):
        body = body_of(size)
        chunks = [body[i : i + chunk_size] for i in range(0, size, chunk_size)]
        assert send(tools, app, body=chunks).status == status
    assert app._plane._held_bytes == 0
    app.stop()


def test_a_stated_length_above_the_limit_is_refused_before_the_body_is_kept(tools):
    app = tools.make_app(tools.SpyModel(), limits=Limits(max_body=500))
    for stated in (b"501", b"9" * 40):
        headers = [(b"content-type", b"application/json"), (b"content-length", stated)]
        reply = send(tools, app, body=[b'{"rows"', b": []}"], headers=headers)
        assert reply.status == 413
        assert "500 bytes" in reply.json["detail"]
    app.stop()


@pytest.mark.parametrize("stated", [b"0", b"5", b"-1", b"x", b"", b"1e3"])
def test_a_stated_length_that_lies_is_not_believed(tools, spy_app, stated):
    headers = [(b"content-length", stated)]
    assert send(tools, spy_app, body=tools.rows(tools.row()), headers=headers).status == 200


def test_a_body_that_is_whole_already_is_not_waited_for(tools, spy_app):
    """granian says `more_body` with the last bytes, and sends an empty chunk after them."""
    body = tools.rows(tools.row())

    async def main(headers):
        asked, sent = [], []

        async def receive():
            asked.append(True)
            return {
                "type": "http.request",
                "body": body if len(asked) == 1 else b"",
                "more_body": len(asked) == 1,
            }

        async def send(message):
            sent.append(message)

        await spy_app(
            {"type": "http", "method": "POST", "path": "/predict", "headers": headers}, receive, send
        )
        assert sent[0]["status"] == 200
        return len(asked)

    assert asyncio.run(main([(b"content-length", str(len(body)).encode())])) == 1
    assert asyncio.run(main([(b"content-length", str(len(body) + 1).encode())])) == 2
    assert asyncio.run(main([])) == 2


def test_bytes_of_long_bodies_are_bounded_in_all(tools):
    app = tools.make_app(tools.SpyModel(), limits=Limits(max_held_bytes=150_000))
    body = tools.rows(*[tools.row(x=i) for i in range(2500)])
    assert 75_000 < len(body) < 150_000

    async def main():
        return await asyncio.gather(*[tools.call(app, "POST", "/predict", body) for _ in range(3)])

    assert sorted(reply.status for reply in asyncio.run(main())) == [200, 503, 503]
    assert app._plane._held_bytes == 0
    assert send(tools, app, body=body).status == 200
    app.stop()


def test_a_client_that_leaves_gets_no_answer_and_nothing_is_held(tools, spy_app):
    assert send(tools, spy_app, body=None) is None

    async def main():
        messages = [
            {"type": "http.request", "body": b"[" * 50_000, "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent = []

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        await spy_app({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, send)
        assert sent == []

    asyncio.run(main())
    assert spy_app._plane._held_bytes == 0


@pytest.mark.parametrize("begun", [True, False])
def test_a_body_that_never_ends_times_out(tools, begun):
    app = tools.make_app(tools.SpyModel(), limits=Limits(client_seconds=0.05))

    async def main():
        first = [{"type": "http.request", "body": b"{", "more_body": True}] if begun else []
        sent = []

        async def receive():
            if first:
                return first.pop()
            return await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}

        async def answer():
            await app(scope, receive, send)
            return asyncio.current_task().cancelling()

        done, _ = await asyncio.wait({asyncio.create_task(answer())}, timeout=20)
        assert [task.result() for task in done] == [0], (
            "it took no time-out, or its task is still being cancelled"
        )
        assert sent[0]["status"] == 408

    asyncio.run(main())
    assert app._plane._held_bytes == 0
    assert app._arrivals._waiting == {}
    app.stop()


def test_an_unexpected_error_is_logged_and_not_told(tools, spy_app, caplog):
    async def main():
        return await asyncio.gather(
            *[tools.call(spy_app, "POST", "/predict", tools.rows(tools.row(x=x))) for x in (1, -666, 3)]
        )

    first, failed, third = asyncio.run(main())
    assert failed.status == 500
    assert failed.headers[b"content-type"] == b"application/problem+json"
    assert b"secret" not in failed.body
    assert b"Traceback" not in failed.body
    assert "a secret reason" in caplog.text
    assert (first.json["predictions"], third.json["predictions"]) == ([1.0], [3.0])


async def lifespan(app, *events):
    queue = [{"type": f"lifespan.{event}"} for event in events]
    sent = []

    async def receive():
        return queue.pop(0)

    async def send(message):
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    return sent


def test_lifespan_loads_and_closes(tools):
    from afterfit.serving import DataPlane
    from afterfit.serving.contracts import NativeContract

    app = Application(lambda: DataPlane([tools.SpyModel()]), lambda plane: [NativeContract(plane)])
    before = send(tools, app, body=tools.rows(tools.row()))
    assert before.status == 503
    assert before.headers[b"retry-after"] == b"1"
    sent = asyncio.run(lifespan(app, "startup", "shutdown"))
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert send(tools, app, "GET", "/health/ready").status == 503


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AfterfitError("toy.afit is bad"), "toy.afit is bad"),
        (ZeroDivisionError("x"), "the models could not be loaded"),
    ],
)
def test_models_that_cannot_be_loaded_fail_the_startup(error, said):
    def load():
        raise error

    (sent,) = asyncio.run(lifespan(Application(load, lambda plane: []), "startup"))
    assert sent == {"type": "lifespan.startup.failed", "message": said}


def test_websockets_are_closed(spy_app):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    asyncio.run(spy_app({"type": "websocket", "path": "/predict"}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]
