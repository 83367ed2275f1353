from __future__ import annotations

import asyncio
import json
import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import afterfit
from afterfit.serving import Limits
from afterfit.serving._data_plane import INLINE_BODY, INLINE_ROWS, INLINE_RUN, SLOW_RUN


def post(tools, app, body, path="/predict", headers=None):
    return asyncio.run(tools.call(app, "POST", path, body, headers))


def get(tools, app, path, method="GET"):
    return asyncio.run(tools.call(app, method, path, b"", []))


@pytest.fixture
def toy_app(tools, toy_bundle):
    app = tools.make_app(afterfit.load(toy_bundle, threads=1))
    yield app
    app.stop()


def test_golden_rows_are_answered_as_the_model_answers_them(tools, toy_bundle, toy_app):
    model = afterfit.load(toy_bundle)
    inputs = [golden.input for golden in model.bundle.golden]
    reply = post(tools, toy_app, json.dumps({"rows": inputs}).encode())
    assert reply.status == 200
    assert reply.headers[b"content-type"] == b"application/json"
    answer = reply.json
    assert list(answer) == ["model", "version", "classes", "predictions", "probabilities", "warnings"]
    assert (answer["model"], answer["version"]) == ("toy", model.version)
    assert answer["classes"] == ["late", "on time"]
    assert answer["predictions"] == model.predict(inputs).tolist()
    assert answer["probabilities"] == model.predict_proba(inputs).tolist()
    one_by_one = [post(tools, toy_app, json.dumps({"rows": [row]}).encode()).json for row in inputs]
    assert [one["predictions"][0] for one in one_by_one] == answer["predictions"]
    # ONNX Runtime computes the last rows of a run without SIMD, which may move the last bit.
    np.testing.assert_allclose(
        [one["probabilities"][0] for one in one_by_one], answer["probabilities"], rtol=0, atol=1e-15
    )


def test_both_paths_answer_the_same(tools, spy_app):
    body = tools.rows(tools.row())
    assert post(tools, spy_app, body) == post(tools, spy_app, body, "/models/spy/predict")


def test_several_models_each_answer_for_themselves(tools):
    first, second = tools.SpyModel("première"), tools.SpyModel("two/words here")
    app = tools.make_app(first, second)
    for name in ("première", "two/words here"):
        assert post(tools, app, tools.rows(tools.row()), f"/models/{name}/predict").json["model"] == name
    reply = post(tools, app, tools.rows(tools.row()))
    assert reply.status == 404
    assert "2 models" in reply.json["detail"]
    assert [model["name"] for model in get(tools, app, "/models").json["models"]] == [first.name, second.name]
    app.stop()


def test_one_version_given_twice_is_refused(tools):
    with pytest.raises(afterfit.ArgumentError, match="version 0123456789ab of 'spy' is given twice"):
        tools.make_app(tools.SpyModel(), tools.SpyModel())


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(width=64), min_size=1, max_size=5))
def test_numbers_come_back_to_the_last_bit_and_those_json_lacks_are_spelled(tools, shared_app, values):
    spelled = [
        v if math.isfinite(v) else "NaN" if math.isnan(v) else f"{'-' * (v < 0)}Infinity" for v in values
    ]
    spelled = [0.0 if value == -666 else value for value in spelled]
    reply = post(tools, shared_app, tools.rows(*[tools.row(x=value) for value in spelled]))
    assert reply.status == 200
    assert reply.json["predictions"] == spelled
    assert [one[0] for one in reply.json["probabilities"]] == spelled


def test_every_mistake_is_told_at_once(tools, spy_app):
    body = tools.rows(
        tools.row(x="nine"), {"x": 1, "y": 2, "knd": "a"}, tools.row(kind="c"), tools.row(y=None, kind=None)
    )
    reply = post(tools, spy_app, body)
    assert reply.status == 422
    assert reply.headers[b"content-type"] == b"application/problem+json"
    problem = reply.json
    assert set(problem) == {"type", "title", "status", "detail", "errors"}
    assert problem["type"] == "urn:afterfit:problem:invalid-rows"
    assert problem["status"] == 422
    assert "4 mistakes" in problem["detail"]
    assert all(set(error) == {"row", "column", "expected", "got", "fix"} for error in problem["errors"])
    assert [(error["row"], error["column"]) for error in problem["errors"]] == [
        (0, "x"),
        (1, "knd"),
        (2, "kind"),
        (3, "kind"),
    ]
    assert "kind" in problem["errors"][1]["fix"]


def test_bad_rows_never_reach_the_model(tools, spy, spy_app):
    assert post(tools, spy_app, tools.rows(tools.row(x="nine"))).status == 422
    assert spy.runs == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"rows": [',
        b'{"rows": [{"x": 1}]} and more',
        b"\xff\xfe",
        b'{"rows": [{"x": "\xff"}]}',
        b"[" * 3000,
    ],
)
def test_what_is_not_json_is_400(tools, shared_app, body):
    reply = post(tools, shared_app, body)
    assert reply.status == 400
    assert reply.headers[b"content-type"] == b"application/problem+json"
    assert reply.json["type"] == "urn:afterfit:problem:not-json"


@pytest.mark.parametrize(
    "body", [b"null", b"[]", b'"rows"', b"{}", b'{"rows": {}}', b'{"rows": []}', b'{"rows": [3]}']
)
def test_json_of_another_shape_is_422(tools, shared_app, body):
    assert post(tools, shared_app, body).status == 422


def test_too_many_rows_are_refused(tools, shared_app):
    assert post(tools, shared_app, tools.rows(*[tools.row()] * 20)).status == 200
    reply = post(tools, shared_app, tools.rows(*[tools.row()] * 21))
    assert reply.status == 413
    assert "21 rows, and at most 20 rows" in reply.json["detail"]


def test_lone_surrogates_are_told_of_in_valid_json(tools, spy_app):
    body = b'{"rows": [{"x": 1, "y": 2, "kind": "a", "\\ud800": 1}, {"x": 1, "y": 2, "kind": "\\udfff"}]}'
    reply = post(tools, spy_app, body)
    assert reply.status in {400, 422}
    reply.body.decode("utf-8")


def test_an_unknown_model_is_answered_with_the_nearest_name(tools, spy_app):
    for method, path in (("POST", "/models/spi/predict"), ("GET", "/models/spi")):
        reply = asyncio.run(tools.call(spy_app, method, path))
        assert reply.status == 404
        assert reply.json["type"] == "urn:afterfit:problem:unknown-model"
        assert "Did you mean 'spy'?" in reply.json["detail"]


def test_health(tools, spy_app):
    assert get(tools, spy_app, "/health/live").json == {"status": "live"}
    assert get(tools, spy_app, "/health/ready").json == {"status": "ready"}


def test_the_description_of_a_model_holds_its_schema_and_a_body_to_post(tools, toy_app, toy_bundle):
    description = get(tools, toy_app, "/models/toy").json
    assert [column["name"] for column in description["columns"]] == ["delay", "distance (miles)", "carrier"]
    assert description["task"] == "classification"
    assert description["version"] == afterfit.load(toy_bundle).version
    assert (
        post(tools, toy_app, json.dumps(description["example"]).encode(), description["predict"]).status
        == 200
    )


def test_regressors_and_transformers_have_no_probabilities(tools):
    from afterfit.schema import Output, Schema

    regressor, transformer = tools.SpyModel("regressor"), tools.SpyModel("transformer")
    regressor.task, transformer.task = "regression", "transformation"
    regressor.classes = transformer.classes = None
    outputs = {
        "regressor": Output(name="prediction", type="float", shape=(-1,)),
        "transformer": Output(name="transformed", type="float", shape=(-1, 2), columns=("x'", "y'")),
    }
    for model in (regressor, transformer):
        model.schema = Schema(columns=model.schema.columns, outputs=(outputs[model.name],))
    transformer.run = lambda packed: {"transformed": packed["number"]}
    regressor.run = lambda packed: {"prediction": packed["number"][:, 0]}
    app = tools.make_app(regressor, transformer)
    body = tools.rows(tools.row(), tools.row(x=3))
    assert post(tools, app, body, "/models/regressor/predict").json == {
        "model": "regressor",
        "version": "0123456789ab",
        "predictions": [1.0, 3.0],
    }
    assert post(tools, app, body, "/models/transformer/predict").json == {
        "model": "transformer",
        "version": "0123456789ab",
        "columns": ["x'", "y'"],
        "predictions": [[1.0, 2.0], [3.0, 2.0]],
    }
    app.stop()


def test_overload_is_503_and_says_when_to_come_back(tools):
    spy = tools.SpyModel()
    app = tools.make_app(spy, limits=Limits(max_waiting_rows=3))

    async def main():
        bodies = [tools.rows(tools.row(x=i)) for i in range(6)]
        return await asyncio.gather(*[tools.call(app, "POST", "/predict", body) for body in bodies])

    replies = asyncio.run(main())
    assert [reply.status for reply in replies] == [200] * 3 + [503] * 3
    assert [reply.json["predictions"] for reply in replies[:3]] == [[0.0], [1.0], [2.0]]
    assert replies[-1].headers[b"retry-after"] == b"1"
    assert replies[-1].json["type"] == "urn:afterfit:problem:overloaded"
    app.stop()


def test_a_long_body_is_answered_in_a_thread_with_the_same_answer(tools):
    spy = tools.SpyModel()
    app = tools.make_app(spy)
    body = tools.rows(*[tools.row(x=i) for i in range(2000)])
    assert len(body) > INLINE_BODY
    assert len(spy.schema.columns) < INLINE_ROWS
    reply = post(tools, app, body)
    assert reply.json["predictions"] == [float(i) for i in range(2000)]
    assert post(tools, app, body[:-2]).status == 400
    app.stop()


@pytest.mark.parametrize(
    ("seconds", "rows", "beside"),
    [
        (None, INLINE_ROWS, False),
        (None, INLINE_ROWS + 1, True),
        (SLOW_RUN / 2, INLINE_RUN, False),
        (SLOW_RUN / 2, INLINE_RUN + 1, True),
        (SLOW_RUN * 2, 1, True),
    ],
)
def test_runs_that_are_long_or_known_to_be_slow_are_in_a_thread(tools, seconds, rows, beside):
    where = []

    class Noting(tools.SpyModel):
        def run(self, packed):
            where.append(threading.current_thread() is not threading.main_thread())
            return super().run(packed)

    app = tools.make_app(Noting())
    cost = app._plane.models["spy"].batcher.cost
    if seconds is not None:
        for number in (1, INLINE_RUN) * 20:
            cost.record(number, seconds)
    assert post(tools, app, tools.rows(*[tools.row(x=i) for i in range(rows)])).status == 200
    assert where == [beside]
    app.stop()
