"""MLflow's scoring requests, which SageMaker's containers are sent too."""

from __future__ import annotations

import asyncio

import pytest

from afterfit.serving import Limits

CSV = (b"content-type", b"text/csv; charset=utf-8")


def forms(toy):
    return {
        "dataframe_split": {"index": [0], "columns": toy.names, "data": toy.lists},
        "dataframe_records": toy.rows,
        "instances": toy.lists,
        "inputs": toy.columns,
    }


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "instances", "inputs"])
def test_the_four_forms_of_json_answer_as_the_model(ask, toy_app, toy, form):
    reply = ask(toy_app, "/invocations", {form: forms(toy)[form]})
    assert reply.status == 200
    assert reply.json == {"predictions": toy.labels}


def test_other_forms_of_instances_and_inputs(ask, toy_app, toy):
    matrix = {name: [[value] for value in values] for name, values in toy.columns.items()}
    for body in (
        {"instances": toy.rows},
        {"inputs": toy.rows},
        {"inputs": toy.lists},
        {"inputs": matrix},
        {"dataframe_split": {"data": toy.lists}, "params": {"max_tokens": 7}},
    ):
        assert ask(toy_app, "/invocations", body).json == {"predictions": toy.labels}


def test_columns_that_a_table_has_beside_those_of_the_model_are_ignored(ask, toy_app, toy):
    names = ["late", *toy.names]
    split = {"columns": names, "data": [["yes", *row] for row in toy.lists]}
    assert ask(toy_app, "/invocations", {"dataframe_split": split}).json == {"predictions": toy.labels}
    records = [{"late": "yes", **row} for row in toy.rows]
    reply = ask(toy_app, "/invocations", {"dataframe_records": records})
    assert reply.status == 400
    assert "'late'" in reply.json["message"]


def test_the_parameter_output_names_another_output(ask, toy_app, toy):
    reply = ask(toy_app, "/invocations", {"instances": toy.lists, "params": {"output": "probabilities"}})
    for found, known in zip(reply.json["predictions"], toy.probabilities, strict=True):
        assert found == pytest.approx(known, abs=1e-12)
    reply = ask(toy_app, "/invocations", {"instances": toy.lists, "params": {"output": ["scores"]}})
    assert reply.status == 400
    assert "probabilities" in reply.json["message"]


def test_csv(ask, toy_app, toy):
    pytest.importorskip("pyarrow", reason="CSV is read with pyarrow")
    lines = [",".join(map(str, row)) for row in toy.lists]
    body = "\n".join([",".join(toy.names), *lines]).encode()
    assert ask(toy_app, "/invocations", body, CSV).json == {"predictions": toy.labels}
    absent = (b"content-type", b"text/csv; header=absent")
    assert ask(toy_app, "/invocations", "\r\n".join(lines).encode(), absent).json == {
        "predictions": toy.labels
    }


def test_mistakes_in_csv_are_told_with_their_rows(ask, toy_app):
    pytest.importorskip("pyarrow", reason="CSV is read with pyarrow")
    body = b"delay,distance (miles),carrier\n1,2,UA\nx,3.5,UA\n1,2\n,7,UA\n"
    reply = ask(toy_app, "/invocations", body, CSV)
    assert reply.status == 400
    assert reply.json["error_code"] == "BAD_REQUEST"
    assert [(one["row"], one["column"]) for one in reply.json["errors"]] == [
        (1, "delay"),
        (1, "distance (miles)"),
        (2, None),
        (3, "delay"),
    ]
    for body in (b"", b"\n", b"delay\n1\n", b"a,a\n1,2\n", b"\xff\xfe1\0", b'"'):
        reply = ask(toy_app, "/invocations", body, CSV)
        assert reply.status == 400, body
        assert isinstance(reply.json["message"], str)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instances": [[1, 2, "UA"]], "inputs": [[1, 2, "UA"]]},
        {"instances": {}},
        {"instances": []},
        {"instances": [1]},
        {"instances": [[1, 2]]},
        {"instances": [[1, 2, "UA"], {}]},
        {"instances": [{"delay": 1}]},
        {"inputs": {"delay": 1}},
        {"inputs": {"delay": [1], "carrier": ["UA", "UA"]}},
        {"inputs": {}},
        {"dataframe_split": []},
        {"dataframe_split": {"columns": "abc", "data": [[1, 2, "UA"]]}},
        {"dataframe_split": {"columns": ["delay", "delay", "carrier"], "data": [[1, 2, "UA"]]}},
        {"dataframe_split": {"columns": ["delay"], "data": [[1]]}},
        {"dataframe_split": {"data": [7]}},
        {"dataframe_records": {"delay": 1}},
        {"dataframe_records": [7]},
        {"instances": [[[1], {}, "UA"]]},
        [],
        b"[" * 5000,
        b'{"instances": [[' + b"9" * 5000 + b"]]}",
    ],
    ids=range(22),
)
def test_malformed_requests_are_400_with_a_code_and_a_message(ask, toy_app, body):
    reply = ask(toy_app, "/invocations", body)
    assert reply.status == 400
    assert reply.json["error_code"] == "BAD_REQUEST"
    assert len(reply.json["message"]) > 10


def test_unknown_content_types_are_415(ask, toy_app):
    reply = ask(toy_app, "/invocations", b"x", (b"content-type", b"application/x-npy"))
    assert reply.status == 415
    assert reply.json["error_code"] == "BAD_REQUEST"


def test_ping_health_and_version(ask, tools, toy_app):
    assert ask(toy_app, "/ping").status == 200
    assert ask(toy_app, "/health").status == 200
    assert ask(toy_app, "/version").body
    empty = tools.make_app()
    assert ask(empty, "/ping").status == 503
    assert ask(empty, "/invocations", {}).status == 503
    empty.stop()


def test_of_several_models_none_is_chosen(ask, tools):
    app = tools.make_app(tools.SpyModel("a"), tools.SpyModel("b"))
    reply = ask(app, "/invocations", {"instances": [[1, 2, "a"]]})
    assert reply.status == 404
    assert reply.json["error_code"] == "ENDPOINT_NOT_FOUND"
    assert ask(app, "/ping").status == 200
    app.stop()


def test_too_many_rows_are_413(ask, tools, toy):
    app = tools.make_app(toy.model, limits=Limits(max_rows=2))
    for form, rows in forms(toy).items():
        assert ask(app, "/invocations", {form: rows}).status == 413, form
    body = b"delay,distance (miles),carrier\n" + b"1,2,UA\n" * 3
    assert ask(app, "/invocations", body, CSV).status == 413
    app.stop()


def test_overload_is_503(tools, ask):
    app = tools.make_app(tools.SpyModel(), limits=Limits(max_waiting_rows=1))

    async def main():
        body = b'{"instances": [[1, 2, "a"]]}'
        return await asyncio.gather(*[tools.call(app, "POST", "/invocations", body) for _ in range(3)])

    replies = asyncio.run(main())
    app.stop()
    assert sorted(reply.status for reply in replies) == [200, 503, 503]
    assert replies[-1].json["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_words_that_json_lacks_are_read_as_numbers_and_spelled_in_answers(ask, shared_app):
    reply = ask(
        shared_app, "/invocations", b'{"instances": [[NaN, 1, "a"], [Infinity, 1, "a"], ["NaN", 1, "b"]]}'
    )
    assert reply.json == {"predictions": ["NaN", "Infinity", "NaN"]}
