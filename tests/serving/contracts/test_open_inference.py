"""The Open Inference Protocol: what its specification and MLServer's tests of REST ask, restated."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import zlib

import numpy as np
import pytest

from afterfit.serving import Limits, Policy

INFER = "/v2/models/toy/infer"
DATATYPES = {"delay": "FP64", "distance (miles)": "INT64", "carrier": "BYTES"}


def tensor(name, values, datatype=None, **more):
    return {"name": name, "shape": [len(values), 1], "datatype": datatype or DATATYPES[name]} | (
        more or {"data": values}
    )


@pytest.fixture
def inputs(toy):
    return [tensor(name, list(values)) for name, values in toy.columns.items()]


def binary(values, datatype):
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)
    return np.array(values, dtype={"FP64": "<f8", "INT64": "<i8", "FP32": "<f4"}[datatype]).tobytes()


def with_binary(request, *parts):
    head = json.dumps(request).encode()
    length = (b"inference-header-content-length", str(len(head)).encode())
    return b"".join([head, *parts]), length


def named(reply):
    return {output["name"]: output for output in reply.json["outputs"]}


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/toy/ready"])
def test_health_has_both_keys_everywhere(ask, toy_app, path):
    reply = ask(toy_app, path)
    assert reply.status == 200
    assert reply.json["live"] is True
    assert reply.json["ready"] is True


def test_server_metadata(ask, toy_app):
    reply = ask(toy_app, "/v2").json
    assert reply["name"] == "afterfit"
    assert isinstance(reply["version"], str)
    assert "binary_tensor_data" in reply["extensions"]
    assert "model_repository" not in reply["extensions"]


def test_model_metadata_has_one_input_a_column(ask, toy_app, toy):
    reply = ask(toy_app, "/v2/models/toy").json
    assert reply["versions"] == [toy.model.version]
    assert [(one["name"], one["datatype"], one["shape"]) for one in reply["inputs"]] == [
        (name, datatype, [-1, 1]) for name, datatype in DATATYPES.items()
    ]
    assert [(one["name"], one["datatype"], one["shape"]) for one in reply["outputs"]] == [
        ("prediction", "BYTES", [-1]),
        ("probabilities", "FP64", [-1, 2]),
    ]
    assert [one["columns"] for one in reply["alternative_inputs"]] == [
        ["delay", "distance (miles)"],
        ["carrier"],
    ]
    assert ask(toy_app, f"/v2/models/toy/versions/{toy.model.version}").json == reply


def test_json_in_and_out(ask, toy_app, toy, inputs):
    reply = ask(toy_app, INFER, {"id": "é7", "model_name": "x", "later": [1], "inputs": inputs})
    assert reply.status == 200
    assert reply.json["model_name"] == "toy"
    assert reply.json["model_version"] == toy.model.version
    assert reply.json["id"] == "é7"
    found = named(reply)
    assert found["prediction"]["data"] == toy.labels
    assert found["prediction"]["datatype"] == "BYTES"
    assert found["probabilities"]["shape"] == [len(toy.rows), 2]
    assert np.allclose(
        np.reshape(found["probabilities"]["data"], (-1, 2)), toy.probabilities, rtol=0, atol=1e-12
    )


def test_there_is_no_id_in_the_answer_where_none_was_sent(ask, toy_app, inputs):
    assert "id" not in ask(toy_app, INFER, {"inputs": inputs}).json


@pytest.mark.parametrize("form", ["nested", "one dimension", "version"])
def test_forms_of_the_same_request(ask, toy_app, toy, inputs, form):
    path = INFER
    for one in inputs:
        if form == "nested":
            one["data"] = [[value] for value in one["data"]]
        elif form == "one dimension":
            one["shape"] = one["shape"][:1]
        else:
            path = f"/v2/models/toy/versions/{toy.model.version}/infer"
    assert named(ask(toy_app, path, {"inputs": inputs}))["prediction"]["data"] == toy.labels


@pytest.mark.parametrize("default", [True, False])
def test_bytes_in_and_out(ask, toy_app, toy, default):
    request = {
        "inputs": [
            tensor(name, values, parameters={"binary_data_size": len(binary(values, DATATYPES[name]))})
            for name, values in toy.columns.items()
        ]
    }
    if default:
        request["parameters"] = {"binary_data_output": True}
    else:
        request["outputs"] = [
            {"name": "probabilities", "parameters": {"binary_data": True}},
            {"name": "prediction"},
        ]
    body, length = with_binary(
        request, *[binary(values, DATATYPES[name]) for name, values in toy.columns.items()]
    )
    reply = ask(toy_app, INFER, body, length)
    assert reply.status == 200
    assert reply.headers[b"content-type"] == b"application/octet-stream"
    cut = int(reply.headers[b"inference-header-content-length"])
    outputs = json.loads(reply.body[:cut])["outputs"]
    rest = reply.body[cut:]
    for output in outputs:
        assert ("data" in output) == ("parameters" not in output)
        if output["name"] == "prediction" and not default:
            assert output["data"] == toy.labels
            continue
        size = output["parameters"]["binary_data_size"]
        part, rest = rest[:size], rest[size:]
        if output["name"] == "prediction":
            assert part == binary(toy.labels, "BYTES")
        else:
            assert np.allclose(
                np.frombuffer(part, "<f8").reshape(output["shape"]), toy.probabilities, rtol=0, atol=1e-12
            )
    assert rest == b""


def test_packed_tensors_and_one_matrix_say_the_same(ask, tools, toy_app, toy):
    numbers = [row[:2] for row in toy.lists]
    request = {
        "inputs": [
            {"name": "number", "shape": [len(numbers), 2], "datatype": "FP64", "data": numbers},
            {"name": "text", "shape": [len(numbers), 1], "datatype": "BYTES", "data": toy.columns["carrier"]},
        ]
    }
    assert named(ask(toy_app, INFER, request))["prediction"]["data"] == toy.labels
    narrow = tools.SpyModel("narrow")
    narrow.schema = type(narrow.schema)(columns=narrow.schema.columns[:2], outputs=narrow.schema.outputs)
    narrow.run = lambda packed: {"prediction": packed["number"][:, 1], "probabilities": packed["number"]}
    app = tools.make_app(narrow)
    matrix = {"name": "predict", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, 3, 4.5]}
    assert named(ask(app, "/v2/models/narrow/infer", {"inputs": [matrix]}))["prediction"]["data"] == [
        2.5,
        4.5,
    ]
    app.stop()


def test_a_tensor_is_of_the_datatype_it_says(ask, shared_app):
    def x(datatype, data):
        others = [
            {"name": "y", "shape": [1], "datatype": "FP64", "data": [1]},
            {"name": "kind", "shape": [1], "datatype": "BYTES", "data": ["a"]},
        ]
        first = {"name": "x", "shape": [1], "datatype": datatype, "data": data}
        return ask(shared_app, "/v2/models/spy/infer", {"inputs": [first, *others]})

    def prediction(reply):
        return named(reply)["prediction"]["data"][0]

    assert prediction(x("FP64", [0.1])) == 0.1
    assert prediction(x("FP32", [0.1])) == float(np.float32(0.1))
    assert prediction(x("INT8", [-7])) == -7
    assert prediction(x("UINT64", [2**40])) == 2**40
    assert prediction(x("FP64", [None])) == "NaN"
    assert prediction(x("FP64", ["NaN"])) == "NaN"
    assert prediction(x("FP64", ["Infinity"])) == "Infinity"
    for datatype, data in (
        ("INT8", [200]),
        ("INT64", [1.5]),
        ("FP64", ["1"]),
        ("BYTES", ["1"]),
        ("BOOL", [True]),
        ("FP64", [True]),
        ("FP64", [10**400]),
        ("FP64", [[1], [2]]),
        ("FP8", [1]),
    ):
        reply = x(datatype, data)
        assert reply.status == 422, (datatype, data)
        assert "'x'" in reply.json["error"]


def test_every_mistake_is_told_and_the_type_is_exactly_json(ask, toy_app, inputs):
    inputs[0]["data"][0] = None
    inputs[1] = tensor("distance (mile)", [1] * inputs[0]["shape"][0], "INT64")
    reply = ask(toy_app, INFER, {"inputs": inputs})
    assert reply.status == 422
    assert reply.headers[b"content-type"] == b"application/json"
    assert "distance (mile)" in reply.json["error"]
    inputs[1]["name"] = "distance (miles)"
    inputs[1]["data"][3] = 10**17
    reply = ask(toy_app, INFER, {"inputs": inputs})
    assert reply.status == 422
    assert [(one["row"], one["column"]) for one in reply.json["errors"]] == [
        (0, "delay"),
        (3, "distance (miles)"),
    ]
    for one in reply.json["errors"]:
        assert one["expected"] in reply.json["error"]


def test_a_server_that_redacts_repeats_no_value_and_no_name(ask, tools, toy):
    app = tools.make_app(toy.model, policy=Policy(redact=True))
    reply = ask(app, INFER, {"inputs": [tensor("secret", ["hidden"], "BYTES")]})
    assert reply.status == 422
    assert b"secret" not in reply.body
    assert b"hidden" not in reply.body
    app.stop()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({}, 400),
        ({"inputs": []}, 400),
        ({"inputs": {}}, 400),
        ({"inputs": [1]}, 400),
        ({"inputs": [{}]}, 400),
        ({"inputs": [{"name": "delay"}]}, 422),
        ({"inputs": [{"name": "delay", "datatype": "FP64", "shape": [-1]}]}, 422),
        ({"inputs": [{"name": "delay", "datatype": "FP64", "shape": [2**39], "data": [1]}]}, 413),
        ({"inputs": [{"name": "delay", "datatype": "FP64", "shape": [1, 2**39], "data": [1]}]}, 422),
        ({"inputs": [{"name": "delay", "datatype": "FP64", "shape": [0], "data": []}]}, 422),
        ({"inputs": [{"name": "delay", "datatype": "FP64", "shape": [1], "data": "x"}]}, 422),
        (
            {
                "inputs": [
                    {
                        "name": "delay",
                        "datatype": "FP64",
                        "shape": [1],
                        "parameters": {"binary_data_size": 8},
                    }
                ]
            },
            400,
        ),
        ({"inputs": [tensor("delay", [1])], "outputs": [{"name": "probability"}]}, 400),
        ({"inputs": [tensor("delay", [1])], "outputs": [{"name": "prediction"}] * 2}, 400),
        ({"inputs": [tensor("delay", [1])], "parameters": 7}, 400),
        ({"inputs": [tensor("delay", [1])], "parameters": {"timeout": "soon"}}, 400),
        ({"inputs": [tensor("delay", [1])], "id": 7}, 400),
        ({"inputs": [tensor("delay", [1]), tensor("delay", [1])]}, 422),
        ({"inputs": [tensor("delay", [1]), tensor("carrier", ["UA", "AA"])]}, 422),
        ([], 400),
        (b"{", 400),
        (b"\xff", 400),
    ],
    ids=range(22),
)
def test_malformed_requests(ask, toy_app, request_, status):
    reply = ask(toy_app, INFER, request_)
    assert reply.status == status
    assert isinstance(reply.json["error"], str)


def test_bytes_that_are_not_what_the_json_says(ask, toy_app):
    one = tensor("delay", [1.0], parameters={"binary_data_size": 8})
    good, length = with_binary({"inputs": [one]}, b"\0" * 8)
    assert ask(toy_app, INFER, good, length).status == 422  # the other columns are missing
    for body, header in (
        (good, b"-1"),
        (good, b"99999"),
        (good, b"x"),
        (good + b"\0", length[1]),
        (good[:-1], length[1]),
    ):
        assert ask(toy_app, INFER, body, (length[0], header)).status == 400
    text = tensor("carrier", ["x"], parameters={"binary_data_size": 6})
    for part in (b"\xff\xff\xff\xffab", b"\2\0\0\0\xff\xff", b"\1\0\0\0ab"):
        body, length = with_binary({"inputs": [text]}, part)
        reply = ask(toy_app, INFER, body, length)
        assert reply.status == 422
        assert "carrier" in reply.json["error"]


@pytest.mark.parametrize(
    ("accepted", "unpack"),
    [(b"gzip, deflate", gzip.decompress), (b"deflate", zlib.decompress), (b"gzip;q=0", None), (b"br", None)],
)
def test_answers_are_compressed_where_that_is_asked_for_and_pays(ask, toy_app, toy, accepted, unpack):
    columns = {name: values * 10 for name, values in toy.columns.items()}
    body = json.dumps({"inputs": [tensor(name, values) for name, values in columns.items()]}).encode()
    reply = ask(
        toy_app,
        INFER,
        gzip.compress(body),
        (b"content-encoding", b"gzip"),
        (b"accept-encoding", accepted),
    )
    assert reply.status == 200
    assert (b"content-encoding" in reply.headers) == (unpack is not None)
    content = json.loads(reply.body if unpack is None else unpack(reply.body))
    assert content["outputs"][0]["data"] == toy.labels * 10
    short = json.dumps({"inputs": [tensor(name, values[:1]) for name, values in columns.items()]}).encode()
    assert b"content-encoding" not in ask(toy_app, INFER, short, (b"accept-encoding", accepted)).headers


def test_a_timeout_that_runs_out_is_503_with_an_error(tools, ask):
    spy = tools.SpyModel(seconds=0.2)
    app = tools.make_app(spy)
    request = {
        "inputs": [
            {"name": "x", "shape": [1], "datatype": "FP64", "data": [1]},
            {"name": "y", "shape": [1], "datatype": "FP64", "data": [1]},
            {"name": "kind", "shape": [1], "datatype": "BYTES", "data": ["a"]},
        ]
    }
    hasty = json.dumps(request | {"parameters": {"timeout": 1000}}).encode()
    patient = json.dumps(request | {"parameters": {"timeout": 0, "priority": 2}}).encode()

    async def main():
        # A long run is under way when the hasty one comes.
        many = tools.rows(*[tools.row(x=i) for i in range(300)])
        first = asyncio.ensure_future(tools.call(app, "POST", "/predict", many))
        await asyncio.sleep(0.05)
        calls = [tools.call(app, "POST", "/v2/models/spy/infer", body) for body in (hasty, patient)]
        return [*await asyncio.gather(*calls), await first]

    late, good, first = asyncio.run(main())
    app.stop()
    assert (late.status, good.status, first.status) == (503, 200, 200)
    assert late.headers[b"retry-after"] == b"1"
    assert "ran out" in late.json["error"]


def test_unknown_models_versions_and_methods_are_told_in_its_words(ask, tools, toy_app):
    for path in (
        "/v2/models/tot",
        "/v2/models/toy/versions/7",
        "/v2/model",
        "/v2/models/toy/versions/7/infer",
    ):
        reply = ask(toy_app, path)
        assert reply.status == 404
        assert "toy" in reply.json["error"]
    reply = asyncio.run(tools.call(toy_app, "DELETE", INFER))
    assert reply.status == 405
    assert "error" in reply.json


def test_more_rows_than_the_limit_are_413(ask, tools, toy):
    app = tools.make_app(toy.model, limits=Limits(max_rows=3))
    request = {"inputs": [tensor(name, values[:4]) for name, values in toy.columns.items()]}
    assert ask(app, INFER, request).status == 413
    app.stop()


def test_unusual_values_are_warned_of(ask, toy_app):
    request = {
        "inputs": [tensor("delay", [1e6]), tensor("distance (miles)", [100]), tensor("carrier", ["UA"])]
    }
    reply = ask(toy_app, INFER, request)
    assert reply.status == 200
    assert "delay" in reply.json["parameters"]["warnings"]


def test_columns_that_no_tensor_can_hold_yet_are_refused_by_name_and_read_by_the_others(ask, tools):
    from afterfit.schema import Column, RowDecoder

    spy = tools.SpyModel()
    picture = Column(name="picture", type="float", nullable=False, input="tensor_0", position=0, shape=(2, 2))
    spy.schema = type(spy.schema)(columns=(picture,), outputs=spy.schema.outputs[:1])
    spy.decoder = RowDecoder(spy.schema)
    spy.run = lambda packed: {"prediction": packed["tensor_0"].sum(axis=(1, 2))}
    spy.bundle.golden[0].input.clear()
    spy.bundle.golden[0].input["picture"] = [[0.0, 0.0], [0.0, 0.0]]
    app = tools.make_app(spy)
    one = {"name": "picture", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}
    reply = ask(app, "/v2/models/spy/infer", {"inputs": [one]})
    assert reply.status == 422
    assert "'picture'" in reply.json["error"]
    assert ask(app, "/v2/models/spy").json["inputs"] == []
    value = [[1, 2], [3, 4]]
    for body in (
        {"instances": [{"picture": value}]},
        {"instances": [[value]]},
        {"dataframe_split": {"columns": ["picture", "other"], "data": [[value, 7]]}},
        {"inputs": {"picture": [value]}},
    ):
        assert ask(app, "/invocations", body).json == {"predictions": [10.0]}, body
    app.stop()


def test_config_and_stats(ask, toy_app):
    config = ask(toy_app, "/v2/models/toy/config").json
    assert [one["data_type"] for one in config["input"]] == ["TYPE_FP64", "TYPE_INT64", "TYPE_STRING"]
    assert config["max_batch_size"] == 0
    (stats,) = ask(toy_app, "/v2/models/toy/stats").json["model_stats"]
    assert stats["name"] == "toy"
    assert ask(toy_app, "/v2/models/stats").json["model_stats"] == [stats]
