"""A small real bundle, a spy model, and a client that speaks ASGI to an application and checks its manners."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from afterfit.schema import Categories, Column, Output, RowDecoder, Schema
from afterfit.serving import DataPlane, Limits, Policy
from afterfit.serving._http import Application
from afterfit.serving.contracts import (
    KServeContract,
    MlflowContract,
    NativeContract,
    OpenInferenceContract,
    VertexContract,
    VertexRoutes,
)


class SpyModel:
    """Echoes what it is given, so that a row's answer tells whose row it was; remembers every run.

    Answers: `prediction` is column `x`; `probabilities` are `x` and `y`. A row with `x` = -666 makes the whole
    run fail.
    """

    task = "classification"

    def __init__(self, name: str = "spy", *, seconds: float = 0.0, version: str = "0123456789ab") -> None:
        self.name = name
        self.version = version
        self.seconds = seconds
        self.manifest = SimpleNamespace(
            name=name, description=None, framework={"name": "none", "version": "0", "model": "Spy"}
        )
        self.schema = Schema(
            columns=(
                Column(
                    name="x",
                    type="float",
                    nullable=True,
                    input="number",
                    position=0,
                    range=("-Infinity", "Infinity"),
                ),
                Column(name="y", type="float", nullable=True, input="number", position=1),
                Column(
                    name="kind",
                    type="string",
                    nullable=False,
                    input="text",
                    position=0,
                    categories=Categories(values=("a", "b"), open=False),
                    example="a",
                ),
            ),
            outputs=(
                Output(name="prediction", type="float", shape=(-1,)),
                Output(name="probabilities", type="float", shape=(-1, 2)),
            ),
        )
        self.classes = np.array([0.0, 1.0])
        self.decoder = RowDecoder(self.schema)
        self.bundle = SimpleNamespace(
            golden=(
                SimpleNamespace(
                    input={"x": 1.0, "y": 2.0, "kind": "a"},
                    output={"prediction": 1.0, "probabilities": [1.0, 2.0]},
                ),
            )
        )
        self.runs: list[int] = []

    def run(self, packed: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        numbers = packed["number"]
        assert len(packed["text"]) == len(numbers)
        if (numbers[:, 0] == -666).any():
            raise RuntimeError("a secret reason")
        self.runs.append(len(numbers))
        if self.seconds:
            import time

            time.sleep(self.seconds)
        return {"prediction": numbers[:, 0].copy(), "probabilities": numbers.copy()}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Application,
    method: str,
    path: str,
    body: bytes | list[bytes] | None = b"",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> Reply | None:
    """Send one request in one or more chunks; None as `body` is a client that leaves. Checks the answer's form."""
    chunks = [body] if isinstance(body, bytes) else list(body or [])
    messages = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    messages.append({"type": "http.disconnect"})
    if headers is None:
        headers = [(b"content-type", b"application/json")]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        assert messages, "asked for more after the end of the request"
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await asyncio.wait_for(app(scope, receive, send), timeout=20)
    if not sent:
        return None
    start, *parts = sent
    assert start["type"] == "http.response.start"
    assert {part["type"] for part in parts} == {"http.response.body"}
    assert [part for part in parts if not part.get("more_body")] == parts[-1:]
    content = b"".join(part["body"] for part in parts)
    found = dict(start["headers"])
    assert len(found) == len(start["headers"]), "a header twice"
    assert all(name == name.lower() for name in found)
    if method == "HEAD":
        assert content == b""
    elif start["status"] == 204:
        assert b"content-length" not in found
        assert content == b""
    else:
        assert int(found[b"content-length"]) == len(content)
    return Reply(start["status"], found, content)


def every_contract(plane: DataPlane) -> list[Any]:
    return [
        NativeContract(plane),
        OpenInferenceContract(plane),
        MlflowContract(plane),
        KServeContract(plane),
        VertexContract(plane, VertexRoutes("/vertex/health", "/vertex/predict")),
    ]


def make_app(
    *models: Any,
    limits: Limits | None = None,
    policy: Policy | None = None,
    gate: Any = None,
    observer: Any = None,
    meter: Any = None,
    more: Callable[[DataPlane], list[Any]] = lambda plane: [],
) -> Application:
    app = Application(
        lambda: DataPlane(models, limits, policy, meter),
        lambda plane: [*every_contract(plane), *more(plane)],
        gate=gate,
        observer=observer,
    )
    app.start()
    return app


@pytest.fixture
def spy():
    return SpyModel()


@pytest.fixture
def spy_app(spy):
    app = make_app(spy)
    yield app
    app.stop()


@pytest.fixture(scope="session")
def shared_app():
    """One application for tests that send thousands of requests."""
    app = make_app(SpyModel(), limits=Limits(max_body=4000, max_rows=20))
    yield app
    app.stop()


@pytest.fixture(scope="session")
def tools():
    """The helpers of this file, for tests that need more than one of them."""
    return SimpleNamespace(SpyModel=SpyModel, call=call, make_app=make_app, row=row, rows=rows)


def row(x: object = 1.0, y: object = 2.0, kind: object = "a") -> dict[str, object]:
    return {"x": x, "y": y, "kind": kind}


def rows(*values: dict[str, object]) -> bytes:
    return json.dumps({"rows": list(values)}).encode()
