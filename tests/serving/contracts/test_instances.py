"""KServe's first protocol, and Vertex AI's, which share their bodies."""

from __future__ import annotations

import pytest

PATHS = ["/v1/models/toy:predict", "/vertex/predict"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", ["rows", "lists"])
def test_rows_as_objects_or_lists_answer_as_the_model(ask, toy_app, toy, path, form):
    reply = ask(toy_app, path, {"instances": getattr(toy, form), "parameters": {}})
    assert reply.json == {"predictions": toy.labels}
    reply = ask(toy_app, path, {"instances": getattr(toy, form), "parameters": {"output": "probabilities"}})
    for found, known in zip(reply.json["predictions"], toy.probabilities, strict=True):
        assert found == pytest.approx(known, abs=1e-12)


def test_bare_values_are_rows_of_the_only_column(ask, tools):
    spy = tools.SpyModel()
    spy.schema = type(spy.schema)(columns=spy.schema.columns[:1], outputs=spy.schema.outputs[:1])
    spy.run = lambda packed: {"prediction": packed["number"][:, 0]}
    app = tools.make_app(spy)
    assert ask(app, PATHS[1], {"instances": [1, 2.5]}).json == {"predictions": [1, 2.5]}
    app.stop()


@pytest.mark.parametrize("path", PATHS)
def test_every_mistake_is_in_the_error(ask, toy_app, path):
    rows = [["x", 2, "UA"], [1, 2.5, "UA"], [1, 2, 7]]
    for instances in (
        rows,
        [dict(zip(("delay", "distance (miles)", "carrier"), row, strict=True)) for row in rows],
    ):
        reply = ask(toy_app, path, {"instances": instances})
        assert reply.status == 422
        assert reply.headers[b"content-type"] == b"application/json"
        assert [(one["row"], one["column"]) for one in reply.json["errors"]] == [
            (0, "delay"),
            (1, "distance (miles)"),
            (2, "carrier"),
        ]
        for place in ("row 0, column 'delay'", "row 1, column 'distance (miles)'", "row 2, column 'carrier'"):
            assert place in reply.json["error"]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_request(ask, toy_app, path):
    for body in ({}, [], b"", {"instances": 7}, {"instances": []}):
        reply = ask(toy_app, path, body)
        assert reply.status in {400, 422}
        assert isinstance(reply.json["error"], str)


def test_what_is_served(ask, toy_app):
    assert ask(toy_app, "/v1/models").json == {"models": ["toy"]}
    assert ask(toy_app, "/v1/models/toy").json == {"name": "toy", "ready": True, "live": True}
    assert ask(toy_app, "/vertex/health").status == 200
    reply = ask(toy_app, "/v1/models/tot:predict", {"instances": []})
    assert reply.status == 404
    assert "toy" in reply.json["error"]


def test_clients_that_take_anything_are_told_at_the_root_that_the_server_lives(ask, toy_app):
    assert ask(toy_app, "/", None, (b"accept", b"*/*")).json == {"status": "alive"}
    browser = (b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")
    assert ask(toy_app, "/", None, browser).body.startswith(b"<!")


def test_vertex_of_several_models_chooses_none(ask, tools):
    app = tools.make_app(tools.SpyModel("a"), tools.SpyModel("b"))
    assert ask(app, "/vertex/predict", {"instances": [[1, 2, "a"]]}).status == 404
    assert ask(app, "/v1/models/b:predict", {"instances": [[5, 2, "a"]]}).json == {"predictions": [5]}
    app.stop()
