"""The OpenAPI 3.1 document of all contracts, written from the schemas of the models that are served."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from afterfit._version import __version__
from afterfit.schema import Bounds, Rule
from afterfit.serving.contracts._openapi_others import describe_others
from afterfit.serving.contracts._rows import spelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from afterfit.bundle import GoldenRow
    from afterfit.runtime import Model
    from afterfit.schema import Column, Output

JsonSchema = dict[str, Any]

_NON_FINITE = {"enum": ["NaN", "Infinity", "-Infinity"]}
_TYPES: Mapping[str, JsonSchema] = {
    "float": {"anyOf": [{"type": "number"}, _NON_FINITE]},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "any": {},
}
_SAMPLES: Mapping[str, object] = {
    "float": 0.0,
    "integer": 0,
    "boolean": False,
    "string": "",
    "any": None,
}


def openapi(models: Sequence[Model]) -> dict[str, Any]:
    """The document: every path, the rows each model takes, what it answers, and how mistakes are told."""
    paths: dict[str, Any] = {
        "/health/live": {"get": _describing("live", "Is the server running?", "live")},
        "/health/ready": {"get": _describing("ready", "Are the models loaded?", "ready")},
        "/models": {"get": _describing("list_models", "The models that are served", "models")},
    }
    schemas: dict[str, Any] = dict(_SHARED)
    for index, model in enumerate(models):
        rows, answer = f"rows_{index}", f"answer_{index}"
        schemas[rows] = rows_schema(model)
        schemas[answer] = answer_schema(model)
        path = f"/models/{quote(model.name)}"
        paths[path] = {"get": _describing(f"describe_{index}", f"The schema of {model.name}", "schema")}
        paths[f"{path}/predict"] = {"post": _predict(model, f"predict_{index}", rows, answer)}
        paths[f"{path}/check"] = {"post": _check(model, f"check_{index}", rows)}
        if len(models) == 1:
            paths["/predict"] = {"post": _predict(model, "predict", rows, answer)}
            paths["/check"] = {"post": _check(model, "check", rows)}
    other_paths, other_schemas = describe_others(models, rows_schema)
    paths |= other_paths
    schemas |= other_schemas
    for path, operations in paths.items():
        for operation in operations.values():
            operation["tags"] = [_tag(path)]
    return {
        "openapi": "3.1.0",
        "info": {"title": "afterfit", "version": __version__, "summary": "Models saved whole, and served."},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _tag(path: str) -> str:
    """The group of operations that a path is shown in."""
    tags = {
        "/v1": "KServe 1",
        "/v2": "Open Inference Protocol",
        "/invocations": "MLflow",
        "/health": "Health",
    }
    return next((tag for start, tag in tags.items() if path.startswith(start)), "Models")


def example_row(model: Model) -> dict[str, Any]:
    """A row that can be sent: the first golden row, or one made of the columns' examples."""
    if model.bundle.golden:
        return _in_order(model, model.bundle.golden[0])
    return {column.name: _sample(column) for column in model.schema.columns}


def _in_order(model: Model, golden: GoldenRow) -> dict[str, Any]:
    """The columns of a golden row as the model's schema orders them."""
    return {
        column.name: golden.input[column.name]
        for column in model.schema.columns
        if column.name in golden.input
    }


def _answer_examples(model: Model) -> JsonSchema:
    """What the model answers to the golden rows of the request's examples."""
    head: JsonSchema = {"model": model.name, "version": model.version}
    columns = next((output.columns for output in model.schema.outputs if output.columns is not None), None)
    if columns is not None:
        head["columns"] = list(columns)
    if model.schema.output("probabilities") is not None and model.classes is not None:
        head["classes"] = spelled(model.classes.tolist())
    return {
        name: {
            "value": head
            | {
                "predictions" if key in {"prediction", "transformed"} else key: spelled([value])
                for key, value in golden.output.items()
            }
        }
        for name, golden in _examples(model)
    }


def _examples(model: Model) -> list[tuple[str, GoldenRow]]:
    return [(f"golden_{index}", golden) for index, golden in enumerate(model.bundle.golden[:3])]


def rows_schema(model: Model) -> JsonSchema:
    """What the body of a request must be."""
    columns = model.schema.columns
    row: JsonSchema = {
        "type": "object",
        "properties": {column.name: column_schema(column) for column in columns},
        "required": [column.name for column in columns if column.input is not None],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"rows": {"type": "array", "minItems": 1, "items": row}},
        "required": ["rows"],
        "additionalProperties": False,
    }


def column_schema(column: Column) -> JsonSchema:
    """What one value of a column may be."""
    if column.input is None:
        return {"description": "The model does not read this column."}
    schema: JsonSchema
    if column.shape is not None:
        schema = _nested_schema(column)
    elif column.categories is not None and not column.categories.open:
        schema = {"enum": list(column.categories.values)}
    else:
        schema = _bounded(column)
    if column.nullable:
        schema = {"anyOf": [schema, {"type": "null"}]}
    if column.range is not None:
        schema["description"] = f"Seen when the model was saved: {column.range[0]} to {column.range[1]}."
    if column.example is not None:
        schema["examples"] = [column.example]
    return schema


def _nested_schema(column: Column) -> JsonSchema:
    """Lists within lists, of the sizes of a tensor column; an open size is at least 1."""
    element = _bounded(column)
    for size in reversed(column.shape or ()):
        element = {"type": "array", "items": element, "minItems": max(size, 1)}
        if size >= 0:
            element["maxItems"] = size
    return element


def _bounded(column: Column) -> JsonSchema:
    """The numbers that the column accepts; an infinity only on a side without a limit, NaN only for a missing value."""
    if column.type not in {"float", "integer"}:
        return dict(_TYPES[column.type])
    rule = Rule(column)
    low, high = rule.low, rule.high
    bounds = column.bounds or Bounds()
    stated = {
        "minimum": bounds.minimum,
        "exclusiveMinimum": bounds.exclusive_minimum,
        "maximum": bounds.maximum,
        "exclusiveMaximum": bounds.exclusive_maximum,
    }
    number: JsonSchema = {"type": "number" if column.type == "float" else "integer"}
    number |= {keyword: bound for keyword, bound in stated.items() if bound is not None}
    if not {"minimum", "exclusiveMinimum"} & set(number) and math.isfinite(low):
        number["minimum"] = low
    if not {"maximum", "exclusiveMaximum"} & set(number) and math.isfinite(high):
        number["maximum"] = high
    if column.type == "integer":
        return number
    spelled = ["NaN"] * rule.nullable
    spelled += ["Infinity"] * math.isinf(high) + ["-Infinity"] * math.isinf(low)
    return {"anyOf": [number, {"enum": spelled}]} if spelled else number


def answer_schema(model: Model) -> JsonSchema:
    """What an answer is."""
    properties: JsonSchema = {"model": {"const": model.name}, "version": {"const": model.version}}
    for output in model.schema.outputs:
        name = "predictions" if output.name in {"prediction", "transformed"} else output.name
        properties[name] = _output_schema(output)
        if name == "probabilities" and model.classes is not None:
            properties["classes"] = {
                "type": "array",
                "description": "The labels, in the order of the columns of probabilities.",
            }
        if output.columns is not None:
            properties["columns"] = {"const": list(output.columns)}
    required = list(properties)
    properties["warnings"] = {
        "type": "array",
        "description": "Values that no training row had; absent where there are none.",
        "items": _ref("mistake"),
    }
    return {"type": "object", "properties": properties, "required": required}


def _output_schema(output: Output) -> JsonSchema:
    schema: JsonSchema = dict(_TYPES[output.type])
    if output.name == "prediction" and output.classes is not None:
        schema = {"enum": list(output.classes)}
    for size in reversed(output.shape[1:]):
        schema = {"type": "array", "items": schema}
        if size >= 0:
            schema |= {"minItems": size, "maxItems": size}
    return {"type": "array", "items": schema}


def _sample(column: Column) -> object:
    if column.shape is not None:
        sample: object = _SAMPLES[column.type] if column.range is None else column.range[0]
        for size in reversed(column.shape):
            sample = [sample] * max(size, 1)
        return sample
    if column.example is not None:
        return column.example
    if column.nullable:
        return None
    if column.categories is not None and column.categories.values:
        return column.categories.values[0]
    return column.range[0] if column.range is not None else _SAMPLES[column.type]


def _predict(model: Model, operation: str, rows: str, answer: str) -> JsonSchema:
    return {
        "operationId": operation,
        "summary": f"Answer rows with {model.name}",
        "description": model.manifest.description or f"A {model.task} model, version {model.version}.",
        "parameters": [_TIMEOUT],
        "requestBody": _body(model, rows),
        "responses": _responses("One answer a row", answer, _answer_examples(model)),
    }


def _check(model: Model, operation: str, rows: str) -> JsonSchema:
    return {
        "operationId": operation,
        "summary": f"Check rows for {model.name} without answering them",
        "requestBody": _body(model, rows),
        "responses": _responses("The rows fit the schema", "checked"),
    }


def _body(model: Model, rows: str) -> JsonSchema:
    examples = {
        name: {"value": {"rows": [_in_order(model, golden)]}} for name, golden in _examples(model)
    } or {"example": {"value": {"rows": [example_row(model)]}}}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": _ref(rows), "examples": examples},
        },
    }


def _responses(good: str, schema: str, examples: JsonSchema | None = None) -> JsonSchema:
    content = {"schema": _ref(schema)} | ({"examples": examples} if examples else {})
    return {
        "200": {"description": good, "content": {"application/json": content}},
        **_problems(
            {
                "400": "The body is not JSON, or a header is malformed",
                "413": "The body or the number of rows is above the limit",
                "415": "The body is not said to be JSON",
                "422": "Some values do not fit the schema; every mistake is listed",
                "503": "Too much waits already",
            }
        ),
    }


def _problems(statuses: Mapping[str, str]) -> JsonSchema:
    content = {"application/problem+json": {"schema": _ref("problem")}}
    return {status: {"description": why, "content": content} for status, why in statuses.items()}


def _describing(operation: str, summary: str, schema: str) -> JsonSchema:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {
            "200": {"description": "Yes" if summary.endswith("?") else summary}
            | {"content": {"application/json": {"schema": _ref(schema)}}}
        },
    }


def _ref(name: str) -> JsonSchema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Iterable[str], **properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": list(required)}


_TEXT: JsonSchema = {"type": "string"}
_SUMMARY = {"name": _TEXT, "version": _TEXT, "task": _TEXT, "predict": _TEXT, "description": _TEXT}
_NAMED = ("name", "version", "task", "predict")
_LIST: JsonSchema = {"type": "array", "items": {"type": "object"}}
_TIMEOUT: JsonSchema = {
    "name": "X-Request-Timeout",
    "in": "header",
    "description": "Seconds within which the model's turn must come; the answer is 503 otherwise.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
_SHARED: Mapping[str, JsonSchema] = {
    "live": _object(["status"], status={"const": "live"}),
    "ready": _object(["status"], status={"const": "ready"}),
    "models": _object(["models"], models={"type": "array", "items": _object(_NAMED, **_SUMMARY)}),
    "schema": _object(
        [*_NAMED, "versions", "columns", "outputs", "example"],
        **_SUMMARY,
        versions={"type": "array", "items": _TEXT},
        framework={"type": "object"},
        columns=_LIST,
        outputs=_LIST,
        example={"type": "object"},
    ),
    "problem": _object(
        ["type", "title", "status", "detail"],
        type=_TEXT,
        title=_TEXT,
        status={"type": "integer"},
        detail=_TEXT,
        truncated={"type": "boolean"},
        errors={"type": "array", "items": _ref("mistake")},
    ),
    "mistake": _object(
        ["row", "column", "expected", "got", "fix"],
        row={"type": ["integer", "null"]},
        column={"type": ["string", "null"]},
        expected=_TEXT,
        got=_TEXT,
        fix=_TEXT,
    ),
    "checked": _object(
        ["ok", "rows", "warnings"],
        ok={"const": True},
        rows={"type": "integer"},
        warnings={"type": "array", "items": _ref("mistake")},
    ),
}
