"""Warnings, checks, redaction, versions, deadlines: what a server can be told to do with rows."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib

import numpy as np
import pytest

import afterfit
from afterfit.serving import Limits, Policy

ROW = {"delay": 3.0, "distance (miles)": 500, "carrier": "UA"}
UNUSUAL = {"delay": 3.0, "distance (miles)": 99_999, "carrier": "ua"}
JSON = (b"content-type", b"application/json")


def post(tools, app, path, *rows, headers=()):
    return asyncio.run(tools.call(app, "POST", path, json.dumps({"rows": rows}).encode(), [JSON, *headers]))


@pytest.fixture
def open_app(tools, toy_bundle):
    apps = []

    def make(**options):
        apps.append(tools.make_app(afterfit.load(toy_bundle, threads=1), **options))
        return apps[-1]

    yield make
    for app in apps:
        app.stop()


def test_unusual_values_are_answered_with_a_warning(tools, open_app, toy_bundle):
    app = open_app()
    assert "warnings" not in post(tools, app, "/predict", ROW).json
    answer = post(tools, app, "/predict", ROW, UNUSUAL).json
    assert answer["predictions"] == afterfit.load(toy_bundle).predict([ROW, UNUSUAL]).tolist()
    assert [(one["row"], one["column"], one["got"]) for one in answer["warnings"]] == [
        (1, "distance (miles)", "99999"),
        (1, "carrier", "'ua'"),
    ]
    assert answer["warnings"][1]["fix"] == "did you mean 'UA'?"


def test_who_shares_a_run_with_an_unusual_row_is_not_warned(tools, open_app):
    app = open_app()

    async def both():
        bodies = [json.dumps({"rows": [row]}).encode() for row in (ROW, UNUSUAL, ROW)]
        return await asyncio.gather(*[tools.call(app, "POST", "/predict", body) for body in bodies])

    assert ["warnings" in reply.json for reply in asyncio.run(both())] == [False, True, False]


def test_unusual_values_can_be_errors_or_ignored(tools, open_app):
    refused = post(tools, open_app(policy=Policy(unusual="error")), "/predict", UNUSUAL)
    assert refused.status == 422
    assert [error["column"] for error in refused.json["errors"]] == ["distance (miles)", "carrier"]
    assert "warnings" not in post(tools, open_app(policy=Policy(unusual="ignore")), "/predict", UNUSUAL).json


def test_a_check_answers_nothing_and_warns(tools, open_app):
    app = open_app()
    assert post(tools, app, "/check", ROW).json == {"ok": True, "rows": 1, "warnings": []}
    assert len(post(tools, app, "/models/toy/check", ROW, UNUSUAL).json["warnings"]) == 2
    assert post(tools, app, "/check", {**ROW, "delay": "x"}).status == 422


@pytest.mark.parametrize("unusual", ["warn", "error"])
def test_where_a_server_redacts_no_answer_repeats_what_was_sent(tools, open_app, unusual):
    app = open_app(policy=Policy(redact=True, unusual=unusual))
    secret = "secret-4711"
    bodies = [
        {**ROW, "carrier": secret},
        {**ROW, "delay": secret},
        {**ROW, secret: 1},
        {**ROW, "distance (miles)": 4711.5},
        {secret: secret},
    ]
    for row in bodies:
        for path in ("/predict", "/check"):
            reply = post(tools, app, path, row)
            assert b"4711" not in reply.body
            told = reply.json.get("errors") or reply.json["warnings"]
            assert told
            assert all(one["expected"] for one in told)


def test_each_version_has_its_path_and_the_last_is_the_default(tools):
    old, new = tools.SpyModel(version="old"), tools.SpyModel(version="new")
    app = tools.make_app(old, new)
    rows = [tools.row()]
    answers = {
        path: post(tools, app, path, *rows).json["version"]
        for path in ("/predict", "/models/spy/predict", "/models/spy/versions/old/predict")
    }
    assert list(answers.values()) == ["new", "new", "old"]
    missing = post(tools, app, "/models/spy/versions/other/predict", *rows)
    assert missing.status == 404
    assert "this server has old, new, not 'other'" in missing.json["detail"]


def test_models_are_replaced_while_requests_are_under_way(tools):
    app = tools.make_app(tools.SpyModel(version="old", seconds=0.05))

    async def swap():
        body = tools.rows(tools.row())
        await tools.call(app, "POST", "/predict", body)
        under_way = asyncio.ensure_future(tools.call(app, "POST", "/predict", body))
        for _ in range(3):
            await asyncio.sleep(0)
        app.replace([tools.SpyModel(version="new")])
        after = await tools.call(app, "POST", "/predict", body)
        return (await under_way).json["version"], after.json["version"]

    assert asyncio.run(swap()) == ("old", "new")
    app.stop()


def test_a_request_whose_time_ran_out_is_refused_before_the_model_runs(tools):
    spy = tools.SpyModel(seconds=0.05)
    app = tools.make_app(spy)

    async def ask():
        patient = [tools.rows(tools.row(x=float(i))) for i in range(3)]
        await tools.call(app, "POST", "/predict", patient[0])
        slow = asyncio.ensure_future(tools.call(app, "POST", "/predict", patient[1]))
        for _ in range(3):
            await asyncio.sleep(0)
        hurried = tools.call(
            app, "POST", "/predict", tools.rows(tools.row(x=99.0)), [JSON, (b"x-request-timeout", b"0.001")]
        )
        return await asyncio.gather(slow, hurried, tools.call(app, "POST", "/predict", patient[2]))

    slow, hurried, last = asyncio.run(ask())
    assert (slow.status, hurried.status, last.status) == (200, 503, 200)
    assert hurried.headers[b"retry-after"] == b"1"
    assert 99.0 not in np.concatenate([np.ravel(run) for run in spy.runs])
    app.stop()


@pytest.mark.parametrize("stated", [b"soon", b"-1", b"0", b"nan", b"inf", b""])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(tools, spy_app, stated):
    reply = post(tools, spy_app, "/predict", tools.row(), headers=[(b"x-request-timeout", stated)])
    assert reply.status == 400


@pytest.mark.parametrize(("encoding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
@pytest.mark.parametrize("count", [1, 300])
def test_compressed_bodies(tools, open_app, encoding, pack, count):
    app = open_app()
    plain = json.dumps({"rows": [ROW] * count}).encode()
    headers = [JSON, (b"content-encoding", encoding)]
    packed = asyncio.run(tools.call(app, "POST", "/predict", pack(plain), headers))
    assert packed == asyncio.run(tools.call(app, "POST", "/predict", plain))
    for damaged in (b"", b"not compressed", pack(plain)[:-5], pack(plain) + b"more"):
        assert asyncio.run(tools.call(app, "POST", "/predict", damaged, headers)).status == 400


@pytest.mark.parametrize("size", [500_000, 50_000_000])
def test_a_body_that_unpacks_beyond_the_limit_is_refused(tools, size):
    app = tools.make_app(tools.SpyModel(), limits=Limits(max_body=200_000))
    headers = [JSON, (b"content-encoding", b"gzip")]
    reply = asyncio.run(tools.call(app, "POST", "/predict", gzip.compress(b" " * size), headers))
    assert reply.status == 413
    app.stop()


def test_the_gate_stands_before_every_route_and_the_observer_sees_every_answer(tools):
    from afterfit.serving._exchange import Problem

    seen, left = [], []

    class Gate:
        def admit(self, scope, route):
            allowed = (b"x-key", b"yes") in scope["headers"]
            return None if allowed else Problem(401, "no-key", "Send a key.")

        def leave(self, scope):
            left.append(scope["path"])

    class Observer:
        def observe(self, scope, route, status, seconds, sent):
            assert seconds > 0
            seen.append((scope["path"], None if route is None else route.path, status, sent))

    spy = tools.SpyModel()
    app = tools.make_app(spy, gate=Gate(), observer=Observer())
    paths = ["/predict", "/nowhere", "/health/live"]
    for path in paths:
        assert asyncio.run(tools.call(app, "POST", path, tools.rows(tools.row()))).status == 401
    assert not spy.runs
    good = post(tools, app, "/predict", tools.row(), headers=[(b"x-key", b"yes")])
    assert good.status == 200
    assert [one[:3] for one in seen] == [
        ("/predict", "/predict", 401),
        ("/nowhere", None, 401),
        ("/health/live", None, 401),
        ("/predict", "/predict", 200),
    ]
    assert seen[-1][3] == len(good.body)
    assert left == [*paths, "/predict"]
    app.stop()
