"""Models of tensor columns, from saving to serving."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import spox.opset.ai.onnx.v21 as op
from click.testing import CliRunner

import afterfit
from afterfit.bundle import read_bundle, write_bundle
from afterfit.capture._graph import lower_model
from afterfit.capture._reference import Reference
from afterfit.cli import cli
from afterfit.errors import AuditError, SchemaError, UnsupportedModelError
from afterfit.lowering import Regression, _registry, constant, public_name
from afterfit.schema import Bounds, infer_table
from afterfit.serving import DataPlane
from afterfit.serving.contracts import _native as native
from afterfit.serving.contracts._openapi import openapi

TABLE = np.linspace(-1, 1, 10)


class Scored:
    """The mean of looked-up tokens, plus the sum of an image, plus a number."""

    def predict(self, X: Any) -> Any:
        tokens, images, age = X["tokens"], X["image"], X["age"]
        means = [TABLE[np.asarray(one)].mean() for one in tokens]
        return (
            np.array(means) + np.asarray(images, dtype=np.float64).reshape(len(tokens), -1).sum(axis=1) + age
        )


def lower_scored(estimator, X, context):
    tokens, image, age = X.blocks
    ids = context.read_tensor(estimator, tokens)
    context.note_bounds(tokens, Bounds(minimum=-10.0, maximum=9.0))
    looked_up = op.gather(constant(TABLE), ids)
    mean = op.reduce_mean(looked_up, constant([1], np.int64), keepdims=0)
    total = op.reduce_sum(context.read_tensor(estimator, image), constant([1, 2], np.int64), keepdims=0)
    return Regression(op.add(op.add(mean, total), context.read_vector(estimator, age)))


def data(rows: int = 40) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "tokens": [rng.integers(0, 10, 1 + i % 4) for i in range(rows)],
        "image": rng.normal(size=(rows, 2, 3)),
        "age": rng.normal(size=rows),
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("tensors") / "scored.afit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_registry._LOWERINGS, public_name(Scored()), lower_scored)
        yield path, afterfit.save(Scored(), path, X=data())


def as_rows(X: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"tokens": tokens.tolist(), "image": image.tolist(), "age": float(age)}
        for tokens, image, age in zip(X["tokens"], X["image"], X["age"], strict=True)
    ]


def test_every_kind_of_rows_is_answered_in_its_order(saved):
    _, model = saved
    X = data(3000)
    expected = Scored().predict(X)
    rows = as_rows(X)
    for given in (X, rows, pd.DataFrame(rows), [np.array(X["tokens"], dtype=object), X["image"], X["age"]]):
        np.testing.assert_allclose(model.predict(given), expected, rtol=1e-12, atol=1e-12)


def test_the_schema_the_golden_rows_and_the_profile_know_tensor_columns(saved):
    path, model = saved
    assert model.manifest.format == 2
    tokens, image, age = model.schema.columns
    assert (tokens.input, tokens.shape, tokens.type) == ("tensor_0", (-1,), "integer")
    assert (image.input, image.shape, image.type, image.nullable) == ("tensor_1", (2, 3), "float", False)
    assert (tokens.bounds.minimum, tokens.bounds.maximum) == (-10, 9)
    assert age.input == "number"
    assert age.shape is None
    bundle = read_bundle(path)
    assert {len(row.input["tokens"]) for row in bundle.golden} >= {1, 4}
    profile = json.loads(bundle.entries["profile.json"])["columns"]
    assert profile["image"]["count"] == 40 * 6
    assert model.verify().ok


def test_no_other_column_may_be_a_list(saved):
    _, model = saved
    with pytest.raises(SchemaError, match=r"column 'tokens': expected a list of integers, got 3"):
        model.predict([{"tokens": 3, "image": [[0] * 3] * 2, "age": [1]}])


def test_the_same_model_and_rows_give_the_same_bytes(saved, tmp_path):
    path, _ = saved
    afterfit.save(Scored(), tmp_path / "scored.afit", X=data())
    assert (tmp_path / "scored.afit").read_bytes() == path.read_bytes()


def test_requests_of_other_sizes_share_a_run(saved):
    _, model = saved
    plane = DataPlane([model])
    X = data(6)
    shape = native.shaper(model)

    async def ask():
        bodies = [json.dumps({"rows": [row]}).encode() for row in as_rows(X)]
        served = plane.models[model.name]
        asked = (
            plane.answer(
                served,
                partial(served.read_json, body),
                lambda batch, ticket: shape(batch, ticket.start, ticket.stop),
                beside=False,
            )
            for body in bodies
        )
        return await asyncio.gather(*asked)

    try:
        answers = [json.loads(answer)["predictions"][0] for answer in asyncio.run(ask())]
    finally:
        plane.close()
    np.testing.assert_allclose(answers, Scored().predict(X), rtol=1e-12)


def test_openapi_describes_nested_lists(saved):
    document = openapi([saved[1]])
    properties = document["components"]["schemas"]["rows_0"]["properties"]["rows"]["items"]["properties"]
    assert properties["tokens"]["items"] == {"type": "integer", "minimum": -10.0, "maximum": 9.0}
    assert (properties["tokens"]["minItems"], properties["image"]["maxItems"]) == (1, 2)
    assert properties["image"]["items"]["minItems"] == 3


def test_files(saved, tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra `files`")
    path, model = saved
    X = data(5)
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in as_rows(X)), encoding="utf-8")
    pd.DataFrame(as_rows(X)).to_parquet(tmp_path / "rows.parquet")
    for name in ("rows.jsonl", "rows.parquet"):
        result = CliRunner().invoke(
            cli, ["predict", str(path), str(tmp_path / name), "-o", str(tmp_path / "out.jsonl"), "--force"]
        )
        assert result.exit_code == 0, result.output
        answers = [
            json.loads(line)["prediction"] for line in (tmp_path / "out.jsonl").read_text().splitlines()
        ]
        np.testing.assert_allclose(answers, Scored().predict(X), rtol=1e-12)
    (tmp_path / "rows.csv").write_text("tokens,image,age\n1,1,1\n", encoding="utf-8")
    refused = CliRunner().invoke(cli, ["predict", str(path), str(tmp_path / "rows.csv")])
    assert refused.exit_code == 2
    assert "JSON lines" in refused.output
    assert model.name == "scored"


def test_a_process_without_the_model_answers(saved, tmp_path):
    path, _ = saved
    X = data(4)
    code = f"""
import json, afterfit
print(json.dumps(afterfit.load({str(path)!r}).predict(json.loads({json.dumps(as_rows(X))!r})).tolist()))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    np.testing.assert_allclose(json.loads(out), Scored().predict(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("schema-invalid", {"shape": (0,)}),
        ("schema-invalid", {"shape": (2,) * 8}),
        ("schema-invalid", {"shape": ()}),
        ("schema-invalid", {"nullable": True}),
        ("schema-invalid", {"position": 1}),
        ("schema-invalid", {"input": "tensor_2"}),
        ("schema-invalid", {"input": "number"}),
        ("schema-invalid", {"input": "tensor_1"}),
        ("schema-invalid", {"example": 1}),
        ("schema-invalid", {"shape": None}),
        ("graph-inputs", {"shape": (3,)}),
        ("graph-inputs", {"shape": (-1, -1)}),
        ("graph-inputs", {"type": "boolean", "range": None, "bounds": None}),
    ],
    ids=str,
)
def test_a_bundle_that_contradicts_itself_is_refused(saved, tmp_path, rule, change):
    bundle = read_bundle(saved[0])
    first, *others = bundle.schema.columns
    schema = msgspec.structs.replace(
        bundle.schema, columns=(msgspec.structs.replace(first, **change), *others)
    )
    with pytest.raises(AuditError) as found:
        write_bundle(
            tmp_path / "x.afit",
            manifest=bundle.manifest,
            schema=schema,
            graph=bundle.graph,
            golden=[],
            entries={},
        )
    assert found.value.rule == rule


@pytest.mark.parametrize("tokens", [[], [[1]], [1, "a"], 1, None])
def test_a_golden_row_of_another_shape_is_refused(saved, tmp_path, tokens):
    bundle = read_bundle(saved[0])
    golden = [msgspec.structs.replace(bundle.golden[0], input={**bundle.golden[0].input, "tokens": tokens})]
    with pytest.raises(AuditError) as found:
        write_bundle(
            tmp_path / "x.afit",
            manifest=bundle.manifest,
            schema=bundle.schema,
            graph=bundle.graph,
            golden=golden,
            entries={},
        )
    assert found.value.rule == "golden-invalid"


def test_an_estimator_that_reads_single_values_refuses_arrays():
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(np.ones((4, 1)), np.arange(4))
    table = infer_table(pd.DataFrame({"x": [[1.0, 2.0]] * 4}))
    with pytest.raises(
        UnsupportedModelError, match=r"reads the column 'x', whose values are arrays of sizes \[2\]"
    ):
        lower_model(Reference(model), table)
