"""A small bundle, and the parts it is written from."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
import spox
import spox.opset.ai.onnx.ml.v5 as ml
import spox.opset.ai.onnx.v21 as op

from afterfit.bundle import GoldenRow, Manifest, encode_json, write_bundle
from afterfit.schema import Categories, Column, Output, Schema

SCHEMA = Schema(
    columns=(
        Column(
            name="age (years)", type="float", nullable=True, input="number", position=0, range=(0.5, 80.0)
        ),
        Column(
            name="city",
            type="string",
            nullable=True,
            input="text",
            position=0,
            categories=Categories(values=("Oslo", "Łódź", "001"), open=True),
            example="Oslo",
        ),
        Column(name="member", type="boolean", nullable=False, input="number", position=1),
        Column(name="account", type="integer", nullable=False, input="integer", position=0),
        Column(name="note", type="any", nullable=True, input=None, position=None),
    ),
    outputs=(
        Output(name="prediction", type="string", shape=(-1,), classes=("no", "yes")),
        Output(name="probabilities", type="float", shape=(-1, 2)),
    ),
)


def score(row: dict[str, Any]) -> float:
    """What the graph computes, said once more in Python."""
    age = row["age (years)"]
    number = 0.25 * (0.0 if age is None or math.isnan(age) else age) + row["member"]
    city = {"Oslo": 1.0, "Łódź": 2.0, "001": 3.0}.get(row["city"], 0.0)
    return number + city + (row["account"] > 2**53)


def answer(row: dict[str, Any]) -> dict[str, Any]:
    probability = 1 / (1 + math.exp(-score(row)))
    return {
        "prediction": "yes" if probability > 0.9 else "no",
        "probabilities": [1 - probability, probability],
    }


ROWS: tuple[dict[str, Any], ...] = (
    {"age (years)": 4.0, "city": "Oslo", "member": True, "account": 2**53 + 1},
    {"age (years)": None, "city": None, "member": False, "account": 0},
    {"age (years)": math.nan, "city": "001", "member": False, "account": -(2**63)},
    {"age (years)": 0.1, "city": "\x1aŁódź", "member": False, "account": 7, "note": ["anything"]},
)
GOLDEN = tuple(GoldenRow(input=row, output=answer(row)) for row in ROWS)

ENTRIES = {
    "environment.json": encode_json({"python": "3.11"}),
    "profile.json": encode_json({"rows": 4}),
    "training/history.jsonl": b'{"epoch":1}\n{"epoch":2}\n',
    "training/curve.csv": b"epoch,loss\n1,0.5\n",
    "native/model.skops": bytes(range(256)) * 4,
}


def build_graph() -> bytes:
    """Inputs and outputs of `SCHEMA`, with an operator of each domain, a body and tensors of each type."""
    number = spox.argument(spox.Tensor(np.float64, ("N", 2)))
    text = spox.argument(spox.Tensor(np.str_, ("N", 1)))
    account = spox.argument(spox.Tensor(np.int64, ("N", 1)))
    known = op.where(op.isnan(number), op.const(0.0), number)
    linear = op.matmul(known, op.const(np.array([[0.25], [1.0]])))
    cities = ml.label_encoder(
        text, keys_strings=["Oslo", "Łódź", "001"], values_int64s=[1, 2, 3], default_int64=0
    )
    large = op.cast(op.greater(account, op.const(np.array(2**53, np.int64))), to=np.float64)
    total = op.add(op.add(linear, op.cast(cities, to=np.float64)), large)
    (total,) = op.if_(
        op.const(True), then_branch=lambda: [op.identity(total)], else_branch=lambda: [op.neg(total)]
    )
    probability = op.sigmoid(total)
    index = op.cast(op.greater(op.squeeze(probability, op.const([1])), op.const(0.9)), to=np.int64)
    labels = op.gather(op.constant(value=np.array(["no", "yes"])), index)
    probabilities = op.concat([op.sub(op.const(1.0), probability), probability], axis=1)
    model = spox.build(
        {"number": number, "text": text, "integer": account},
        {"prediction": labels, "probabilities": probabilities},
    )
    return bytes(model.SerializeToString(deterministic=True))


@pytest.fixture(scope="session")
def graph() -> bytes:
    return build_graph()


@pytest.fixture(scope="session")
def parts(graph: bytes, hand_manifest: Manifest) -> dict[str, Any]:
    """The arguments of `write_bundle` for the small bundle."""
    parity = msgspec.structs.replace(hand_manifest.parity, golden_rows=len(GOLDEN))
    manifest = msgspec.structs.replace(hand_manifest, name="tiny", description=None, parity=parity)
    return {"manifest": manifest, "schema": SCHEMA, "graph": graph, "golden": GOLDEN, "entries": ENTRIES}


@pytest.fixture(scope="session")
def bundle_path(parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("bundle") / "tiny.afit"
    write_bundle(path, **parts)
    return path
