"""A model made by hand, whose answer shows what became of every cell."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from afterfit.bundle import (
    Framework,
    GoldenRow,
    Lineage,
    Manifest,
    Parity,
    encode_json,
    write_bundle,
)
from afterfit.schema import MISSING_TEXT, Categories, Column, Output, Schema, encode_text

if TYPE_CHECKING:
    from pathlib import Path

if find_spec("hypothesis") is not None:  # the sweep alone runs without it
    from hypothesis import settings

    # How long an example takes is the machine's doing, and no test's to judge.
    settings.register_profile("any speed", settings(deadline=None))
    settings.load_profile("any speed")

CODES = {"001": 1.0, "1": 2.0, "": 3.0, "None": 4.0, "nan": 5.0, "NA": 6.0, 'Łódź, "q"\n2': 7.0}
"""What the text adds; 0 for any other."""

MISSING_CODE = 8.0

SCHEMA = Schema(
    columns=(
        Column(name="amount (€)", type="float", nullable=True, input="number", position=0, range=(0.0, 9.0)),
        Column(
            name="code",
            type="string",
            nullable=True,
            input="text",
            position=0,
            categories=Categories(values=("001", "1"), open=True),
            example="001",
        ),
        Column(name="member", type="boolean", nullable=False, input="number", position=1),
        Column(name="visits", type="integer", nullable=True, input="number", position=2),
        Column(name="account", type="integer", nullable=False, input="integer", position=0),
        Column(name="note", type="any", nullable=True, input=None, position=None),
    ),
    outputs=(
        Output(name="prediction", type="string", shape=(-1,), classes=("no", "yes")),
        Output(name="probabilities", type="float", shape=(-1, 2)),
    ),
)

MANIFEST = Manifest(
    format=1,
    name="by hand",
    task="classification",
    framework=Framework(name="scikit-learn", version="1.9.1", model="Pipeline"),
    entry_points={"predict": "prediction", "predict_proba": "probabilities"},
    files={},
    lineage=Lineage(data_sha256="0" * 64, data_rows=4, saved_by="afterfit 0.1.0"),
    parity=Parity(
        rows=4,
        rows_given=4,
        golden_rows=1,
        labels_different=0,
        ties=0,
        max_error=0.0,
        tolerance=1e-12,
        precision="float64",
    ),
    description="Says [bold]yes[/] \x1b[31mor no.",
)

GOLDEN_INPUT = {"amount (€)": 2.0, "code": "001", "member": True, "visits": 1, "account": 2**53 + 1}


def answer(row: dict[str, Any]) -> float:
    """The probability of `yes` that the graph answers to a row."""
    amount, visits = (0.5 if row[name] is None else float(row[name]) for name in ("amount (€)", "visits"))
    code = MISSING_CODE if row["code"] is None else CODES.get(row["code"], 0.0)
    total = amount + 10 * row["member"] + 20 * visits + 100 * code + 1000 * (row["account"] % 7)
    return total / 16384


def build_graph() -> bytes:
    import spox
    import spox.opset.ai.onnx.ml.v5 as ml
    import spox.opset.ai.onnx.v21 as op

    number = spox.argument(spox.Tensor(np.float64, ("N", 3)))
    text = spox.argument(spox.Tensor(np.str_, ("N", 1)))
    integer = spox.argument(spox.Tensor(np.int64, ("N", 1)))
    known = op.where(op.isnan(number), op.constant(value=np.array(0.5)), number)
    total = op.matmul(known, op.constant(value=np.array([[1.0], [10.0], [20.0]])))
    code = ml.label_encoder(
        text,
        keys_strings=[*map(encode_text, CODES), MISSING_TEXT],
        values_floats=[*CODES.values(), MISSING_CODE],
        default_float=0.0,
    )
    rest = op.mod(integer, op.constant(value=np.array(7, np.int64)))
    total = op.add(total, op.mul(op.cast(code, to=np.float64), op.constant(value=np.array(100.0))))
    total = op.add(total, op.mul(op.cast(rest, to=np.float64), op.constant(value=np.array(1000.0))))
    yes = op.div(total, op.constant(value=np.array(16384.0)))
    probabilities = op.concat([op.sub(op.constant(value=np.array(1.0)), yes), yes], axis=1)
    likely = op.greater(op.squeeze(yes, op.constant(value=np.array([1]))), op.constant(value=np.array(0.25)))
    prediction = op.where(likely, op.constant(value=np.array("yes")), op.constant(value=np.array("no")))
    inputs = {"number": number, "text": text, "integer": integer}
    outputs = {"prediction": prediction, "probabilities": probabilities}
    return spox.build(inputs, outputs).SerializeToString()


def write_by_hand(path: Path, *, wrong: bool = False) -> None:
    """Write the bundle; with `wrong`, one whose golden row states another answer than the graph gives."""
    yes = answer(GOLDEN_INPUT) + (0.125 if wrong else 0.0)
    write_bundle(
        path,
        manifest=MANIFEST,
        schema=SCHEMA,
        graph=build_graph(),
        golden=[
            GoldenRow(
                input=GOLDEN_INPUT,
                output={"prediction": "yes" if yes > 0.25 else "no", "probabilities": [1 - yes, yes]},
            )
        ],
        entries={
            "environment.json": encode_json({"python": "3.11", "packages": {"numpy": "2.4.6"}}),
            "training/metrics.json": encode_json({"auc": 0.5, "loss": math.nan}),
        },
    )


@pytest.fixture(scope="session")
def hand_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a model with one column of every kind."""
    path = tmp_path_factory.mktemp("bundle") / "hand.afit"
    write_by_hand(path)
    return path


@pytest.fixture(scope="session")
def wrong_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A well-formed bundle whose graph does not answer as stated."""
    path = tmp_path_factory.mktemp("bundle") / "wrong.afit"
    write_by_hand(path, wrong=True)
    return path


@pytest.fixture(scope="session")
def hand_manifest() -> Manifest:
    """The manifest of `hand_bundle`, to be changed where another is wanted."""
    return MANIFEST


@pytest.fixture(scope="session")
def hand_answer():
    """The probability of `yes` that the model of `hand_bundle` gives to a row."""
    return answer


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory):
    """A classifier of two numbers and a text column, saved as people save theirs."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    import afterfit

    rng = np.random.default_rng(7)
    X = pd.DataFrame(
        {
            "delay": rng.normal(10, 30, 400),
            "distance (miles)": rng.integers(80, 3000, 400),
            "carrier": rng.choice(["UA", "AA", "B6"], 400),
        }
    )
    y = np.where(X["delay"] + 5 * (X["carrier"] == "B6") > 12, "late", "on time")
    columns = make_column_transformer(
        (StandardScaler(), ["delay", "distance (miles)"]),
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
    )
    path = tmp_path_factory.mktemp("bundles") / "toy.afit"
    afterfit.save(make_pipeline(columns, LogisticRegression()).fit(X, y), path, X=X, y=y, name="toy")
    return path
