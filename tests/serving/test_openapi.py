from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

import afterfit
from afterfit.schema import Bounds, Column
from afterfit.serving.contracts._openapi import column_schema


@pytest.fixture(scope="module")
def document(tools, toy_bundle):
    app = tools.make_app(afterfit.load(toy_bundle, threads=1), tools.SpyModel("other model"))
    reply = asyncio.run(tools.call(app, "GET", "/openapi.json"))
    app.stop()
    assert reply.status == 200
    return reply.json


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_document_is_of_version_3_1_and_refers_to_what_is_there(document):
    assert document["openapi"] == "3.1.0"
    assert set(document["info"]) >= {"title", "version"}
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    operations = [
        operation["operationId"] for path in document["paths"].values() for operation in path.values()
    ]
    assert len(set(operations)) == len(operations)


def test_every_path_of_it_answers(tools, document, toy_bundle):
    from urllib.parse import unquote

    app = tools.make_app(afterfit.load(toy_bundle, threads=1), tools.SpyModel("other model"))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            bodies = [b""]
            if method == "post":
                examples = operation["requestBody"]["content"]["application/json"]["examples"]
                bodies = [json.dumps(one["value"]).encode() for one in examples.values()]
                assert bodies
            for body in bodies:
                reply = asyncio.run(tools.call(app, method.upper(), unquote(path), body))
                assert reply.status == 200, path
                check(
                    document,
                    operation["responses"]["200"]["content"]["application/json"]["schema"],
                    reply.json,
                )
    app.stop()


def test_the_examples_of_answers_are_what_the_server_answers(tools, document, toy_bundle):
    app = tools.make_app(afterfit.load(toy_bundle, threads=1))
    operation = document["paths"]["/models/toy/predict"]["post"]
    sent = operation["requestBody"]["content"]["application/json"]["examples"]
    stated = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert len(sent) == 3
    for name, example in sent.items():
        answered = asyncio.run(
            tools.call(app, "POST", "/models/toy/predict", json.dumps(example["value"]).encode())
        ).json
        expected = stated[name]["value"]
        assert answered.pop("probabilities")[0] == pytest.approx(expected.pop("probabilities")[0], rel=1e-12)
        answered.pop("warnings", None)
        assert answered == expected
    app.stop()


def test_every_operation_is_in_a_group(document):
    tags = {path: operation["tags"] for path, of in document["paths"].items() for operation in of.values()}
    assert tags["/models/toy/predict"] == ["Models"]
    assert tags["/v2/models/toy/infer"] == ["Open Inference Protocol"]
    assert all(tags.values())


def test_rows_are_described_as_the_decoder_reads_them(document):
    post = document["paths"]["/models/toy/predict"]["post"]
    schema = resolve(document, post["requestBody"]["content"]["application/json"]["schema"])
    row = schema["properties"]["rows"]["items"]
    assert list(row["properties"]) == ["delay", "distance (miles)", "carrier"]
    assert row["required"] == list(row["properties"])
    assert row["additionalProperties"] is False
    kind = resolve(
        document,
        document["paths"]["/models/other%20model/predict"]["post"]["requestBody"]["content"][
            "application/json"
        ]["schema"],
    )["properties"]["rows"]["items"]["properties"]["kind"]
    assert kind["enum"] == ["a", "b"]


def test_bounds_are_those_of_json_schema():
    bounds = Bounds(exclusive_minimum=0.0, maximum=5.0)
    column = Column(name="x", type="float", nullable=True, input="number", position=0, bounds=bounds)
    number, missing = column_schema(column)["anyOf"]
    assert missing == {"type": "null"}
    assert number["anyOf"][0] == {"type": "number", "exclusiveMinimum": 0.0, "maximum": 5.0}
    assert number["anyOf"][1] == {"enum": ["NaN"]}
    column = Column(
        name="x", type="integer", nullable=False, input="number", position=0, bounds=Bounds(minimum=1.0)
    )
    assert column_schema(column) == {"type": "integer", "minimum": 1.0, "maximum": 2**53}


def test_numbers_are_described_as_the_rules_read_them():
    def schema(type_, *range_, nullable=False):
        return column_schema(
            Column(
                name="x",
                type=type_,
                nullable=nullable,
                input="number",
                position=0,
                range=range_ or None,
            )
        )

    limit = float(np.finfo(np.float32).max)
    number = {"type": "number", "minimum": -limit, "maximum": limit}
    described = "Seen when the model was saved: 0.0 to 1.0."
    assert schema("float", 0.0, 1.0) == number | {"description": described}
    number, missing = schema("float", 0.0, "Infinity", nullable=True)["anyOf"]
    assert missing == {"type": "null"}
    assert number["anyOf"] == [{"type": "number", "minimum": -limit}, {"enum": ["NaN", "Infinity"]}]
    assert schema("integer") == {"type": "integer", "minimum": -(2**53), "maximum": 2**53}
    assert schema("boolean") == {"type": "boolean"}


def resolve(document, schema):
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return document["components"]["schemas"][reference.removeprefix("#/components/schemas/")]


TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def check(document, schema, value):
    """The part of JSON Schema that the document uses."""
    schema = resolve(document, schema)
    if "anyOf" in schema:
        errors = []
        for option in schema["anyOf"]:
            try:
                return check(document, option, value)
            except AssertionError as error:
                errors.append(error)
        raise AssertionError(errors)
    if "type" in schema:
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        assert any(isinstance(value, TYPES[kind]) for kind in kinds)
    if "const" in schema:
        assert value == schema["const"]
    if "enum" in schema:
        assert value in schema["enum"]
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value)
        for key, one in value.items():
            if key in schema.get("properties", {}):
                check(document, schema["properties"][key], one)
    if isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        for one in value:
            check(document, schema.get("items", {}), one)
    return None


def test_the_document_says_how_a_key_is_sent(document):
    assert document["security"] == [{}, {"bearer": []}, {"api_key": []}]
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["api_key"]["name"] == "X-API-Key"
    for methods in document["paths"].values():
        for operation in methods.values():
            assert {"401", "403", "429"} <= set(operation["responses"])
