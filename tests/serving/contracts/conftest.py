"""The toy model behind every contract, in process, and what it answers."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

import afterfit

JSON = (b"content-type", b"application/json")


@pytest.fixture(scope="session")
def toy(toy_bundle):
    """The model in memory, its golden rows, and the names of its columns."""
    model = afterfit.load(toy_bundle, threads=1)
    # No bytes say that a text is missing.
    rows = [golden.input for golden in model.bundle.golden if None not in golden.input.values()]
    names = [column.name for column in model.schema.columns]
    return SimpleNamespace(
        model=model,
        rows=rows,
        names=names,
        lists=[[row[name] for name in names] for row in rows],
        columns={name: [row[name] for row in rows] for name in names},
        labels=model.predict(rows).tolist(),
        probabilities=model.predict_proba(rows).tolist(),
    )


@pytest.fixture(scope="session")
def toy_app(tools, toy):
    app = tools.make_app(toy.model)
    yield app
    app.stop()


@pytest.fixture(scope="session")
def ask(tools):
    """Post a JSON value, or bytes as they are, to a path; get it where there is no body."""

    def ask(app, path, body=None, *headers):
        if body is None:
            return asyncio.run(tools.call(app, "GET", path, b"", list(headers)))
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return asyncio.run(tools.call(app, "POST", path, content, list(headers) or [JSON]))

    return ask
