"""The paths of the contracts that are described elsewhere, as far as OpenAPI can: their forms, with examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from afterfit.serving.contracts._tensors import DATATYPES, DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from afterfit.runtime import Model

JsonSchema = dict[str, Any]

_TEXT: JsonSchema = {"type": "string"}
_ERRORS = {
    "400": "The body is malformed",
    "404": "There is no such model",
    "413": "The body or the number of rows is above the limit",
    "415": "The body is of another kind, or is not encoded as it says",
    "422": "Some values do not fit the schema; every mistake is listed",
    "503": "Too much waits already",
}


def describe_others(
    models: Sequence[Model], rows_schema: Callable[[Model], JsonSchema]
) -> tuple[JsonSchema, JsonSchema]:
    """The paths of the Open Inference Protocol, of KServe V1 and of MLflow, and the schemas they refer to."""
    paths: JsonSchema = {
        "/v2": {"get": _telling("v2_server", "The server's name and extensions", "described")},
        "/v2/health/live": {"get": _telling("v2_live", "Is the server running?", "health")},
        "/v2/health/ready": {"get": _telling("v2_ready", "Are the models loaded?", "health")},
        "/v1/models": {"get": _telling("v1_models", "The names of the models", "model_names")},
    }
    for index, model in enumerate(models):
        name = quote(model.name)
        row = rows_schema(model)["properties"]["rows"]["items"]
        rows = [golden.input for golden in model.bundle.golden[:2]]
        paths[f"/v2/models/{name}"] = {
            "get": _telling(f"v2_model_{index}", f"The tensors of {model.name}", "described")
        }
        paths[f"/v2/models/{name}/ready"] = {
            "get": _telling(f"v2_model_ready_{index}", f"Is {model.name} ready?", "health")
        }
        # No tensor of this contract holds a column with a shape yet.
        if all(column.shape is None for column in model.schema.columns):
            paths[f"/v2/models/{name}/infer"] = {
                "post": _asking(
                    f"v2_infer_{index}",
                    "Answer tensors",
                    _ref("inference"),
                    _tensors(model, rows),
                    "inferred",
                )
            }
        paths[f"/v1/models/{name}"] = {
            "get": _telling(f"v1_model_{index}", f"Is {model.name} ready?", "described")
        }
        instances = _object(["instances"], instances={"type": "array", "minItems": 1, "items": row})
        paths[f"/v1/models/{name}:predict"] = {
            "post": _asking(
                f"v1_predict_{index}", "Answer instances", instances, {"instances": rows}, "predictions"
            )
        }
        if len(models) == 1:
            forms = ("dataframe_split", "dataframe_records", "instances", "inputs")
            body = {"oneOf": [_object([form]) for form in forms]}
            paths["/invocations"] = {
                "post": _asking(
                    "invoke", "Answer as MLflow", body, {"dataframe_records": rows}, "predictions"
                )
            }
    return paths, dict(_SHARED)


def _tensors(model: Model, rows: Sequence[Mapping[str, Any]]) -> JsonSchema:
    """A request of the Open Inference Protocol that holds the rows."""
    return {
        "inputs": [
            {
                "name": column.name,
                "shape": [len(rows), 1],
                "datatype": DATATYPES[column.type],
                "data": [row[column.name] for row in rows],
            }
            for column in model.schema.columns
            if column.input is not None
        ]
    }


def _asking(operation: str, summary: str, body: JsonSchema, example: JsonSchema, answer: str) -> JsonSchema:
    content = {"application/json": {"schema": _ref("told")}}
    return {
        "operationId": operation,
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "examples": {"golden": {"value": example}}}},
        },
        "responses": {
            "200": {
                "description": "One answer a row",
                "content": {"application/json": {"schema": _ref(answer)}},
            },
            **{status: {"description": why, "content": content} for status, why in _ERRORS.items()},
        },
    }


def _telling(operation: str, summary: str, schema: str) -> JsonSchema:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {"application/json": {"schema": _ref(schema)}}}
        },
    }


def _ref(name: str) -> JsonSchema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Sequence[str], **properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": list(required)}


_TENSOR = {
    "name": _TEXT,
    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    "datatype": {"enum": list(DTYPES)},
    "parameters": {"type": "object"},
    "data": {"type": "array"},
}
_SHARED: Mapping[str, JsonSchema] = {
    "described": _object(["name"], name=_TEXT),
    "health": _object(["live", "ready"], live={"const": True}, ready={"const": True}),
    "model_names": _object(["models"], models={"type": "array", "items": _TEXT}),
    "inference": _object(
        ["inputs"],
        id=_TEXT,
        inputs={
            "type": "array",
            "minItems": 1,
            "items": _object(["name", "shape", "datatype", "data"], **_TENSOR),
        },
        outputs={"type": "array", "items": _object(["name"], name=_TEXT)},
    ),
    "inferred": _object(
        ["model_name", "outputs"],
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        outputs={
            "type": "array",
            "items": _object(["name", "shape", "datatype", "data"], **_TENSOR),
        },
    ),
    "predictions": _object(["predictions"], predictions={"type": "array"}),
    "told": {
        "type": "object",
        "properties": {"errors": {"type": "array", "items": _ref("mistake")}},
        "anyOf": [{"required": ["error"]}, {"required": ["message"]}],
    },
}
