"""Models of arrays against plain NumPy forward passes, and their parameters read back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import afterfit
from afterfit.cli import cli

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(5)
SEQUENCES = [RNG.integers(0, 12, 1 + i % 9) for i in range(40)]
VECTORS = [RNG.normal(size=(1 + i % 6, 4)) for i in range(30)]
ELMAN = {
    "embedding": RNG.normal(size=(12, 4)),
    "input": RNG.normal(size=(4, 5)) / 2,
    "recurrent": RNG.normal(size=(5, 5)) / 3,
    "bias": RNG.normal(size=5),
    "readout": RNG.normal(size=(5, 3)),
    "readout_bias": RNG.normal(size=3),
}


def forward(sequence: Any, p: dict[str, Any]) -> Any:
    """One sequence through an Elman network, written out."""
    hidden = p.get("initial", np.zeros(len(p["bias"])))
    for item in sequence:
        x = p["embedding"][item] if "embedding" in p else item
        x = x @ p["input"] if "input" in p else x
        hidden = np.tanh(x + hidden @ p["recurrent"] + p["bias"])
    return hidden @ p["readout"] + p.get("readout_bias", 0.0) if "readout" in p else hidden


def without(*names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in ELMAN.items() if name not in names} | more


NETWORKS = {
    "whole": (ELMAN, SEQUENCES),
    "one output": (without("readout_bias", readout=ELMAN["readout"][:, 0]), SEQUENCES),
    "hidden state": (without("readout", "readout_bias", initial=RNG.normal(size=5)), SEQUENCES),
    "embedding of the hidden size": (without("input", embedding=RNG.normal(size=(12, 5))), SEQUENCES),
    "vectors": (without("embedding"), VECTORS),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_an_elman_network_answers_as_a_plain_forward_pass(name: str, tmp_path: Path):
    parameters, sequences = NETWORKS[name]
    model = afterfit.ArrayModel("elman", parameters)
    saved = afterfit.save(model, tmp_path / "elman.afit", X={"sequence": sequences})
    expected = np.stack([forward(sequence, parameters) for sequence in sequences])
    np.testing.assert_allclose(model.predict({"sequence": sequences}), expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(saved.predict({"sequence": sequences}), expected, rtol=1e-12, atol=1e-13)
    longer = [np.concatenate([one] * 7) for one in sequences]
    expected = np.stack([forward(sequence, parameters) for sequence in longer])
    np.testing.assert_allclose(saved.predict({"sequence": longer}), expected, rtol=1e-11, atol=1e-12)


def test_tokens_outside_the_table_are_refused(tmp_path: Path):
    saved = afterfit.save(afterfit.ArrayModel("elman", ELMAN), tmp_path / "a.afit", X={"tokens": SEQUENCES})
    for token in (12, -1):
        with pytest.raises(afterfit.SchemaError, match="tokens"):
            saved.predict([{"tokens": [1, token]}])


def test_sequences_of_one_length_are_a_column_of_arrays_too(tmp_path: Path):
    tokens = RNG.integers(0, 12, (20, 3))
    with pytest.raises(afterfit.UnsupportedModelError, match="no column of arrays"):
        afterfit.save(afterfit.ArrayModel("elman", ELMAN), tmp_path / "a.afit", X=tokens)
    saved = afterfit.save(afterfit.ArrayModel("elman", ELMAN), tmp_path / "a.afit", X={"tokens": tokens})
    expected = np.stack([forward(sequence, ELMAN) for sequence in tokens])
    np.testing.assert_allclose(saved.predict({"tokens": tokens}), expected, rtol=1e-12, atol=1e-13)


WORDS = np.array(["cat", "dog", "naïve", "\x1aodd", ""])
TABLE = RNG.normal(size=(5, 3))


def test_a_table_of_words(tmp_path: Path):
    X = pd.DataFrame({"word": RNG.choice(WORDS, 30)})
    model = afterfit.ArrayModel("embedding", {"words": WORDS, "vectors": TABLE})
    saved = afterfit.save(model, tmp_path / "a.afit", X=X)
    expected = TABLE[[WORDS.tolist().index(word) for word in X["word"]]]
    np.testing.assert_array_equal(saved.predict(X), expected)
    with pytest.raises(afterfit.SchemaError, match="bird"):
        saved.predict([{"word": "bird"}])


def test_a_table_with_a_row_for_unknown_words(tmp_path: Path):
    X = pd.DataFrame({"word": [*RNG.choice(WORDS, 20), "bird"]})
    model = afterfit.ArrayModel("embedding", {"words": WORDS, "vectors": TABLE, "unknown": [0.0, 1.0, 2.0]})
    saved = afterfit.save(model, tmp_path / "a.afit", X=X)
    np.testing.assert_array_equal(saved.predict([{"word": "horse"}, {"word": "dog"}]), [[0, 1, 2], TABLE[1]])


@pytest.mark.parametrize(
    ("parameters", "X"),
    [
        ({"coef": 2.5, "intercept": -1.0}, RNG.normal(size=(20, 1))),
        ({"coef": RNG.normal(size=3)}, RNG.normal(size=(20, 3))),
        ({"coef": RNG.normal(size=(3, 2)), "intercept": [1.0, 2.0]}, RNG.integers(0, 9, (20, 3))),
    ],
    ids=["line", "plane", "two targets"],
)
def test_a_linear_model(parameters: Any, X: Any, tmp_path: Path):
    saved = afterfit.save(afterfit.ArrayModel("linear", parameters), tmp_path / "a.afit", X=X)
    expected = X @ np.atleast_1d(parameters["coef"]) + np.asarray(parameters.get("intercept", 0.0))
    np.testing.assert_allclose(saved.predict(X), expected, rtol=1e-13, atol=1e-14)


def network(X: Any, weights: Any, bias: Any, scores: Any) -> Any:
    xp = X.__array_namespace__()
    return xp.tanh(X @ weights + bias) @ scores


def looked_up(X: Any, table: Any) -> Any:
    return table[X[:, 0].astype(int) % len(table)] * X[:, [1]]


def test_functions(tmp_path: Path):
    X = RNG.normal(size=(30, 4)) + 5
    given = {
        network: {
            "weights": RNG.normal(size=(4, 6)),
            "bias": RNG.normal(size=6),
            "scores": RNG.normal(size=6),
        },
        looked_up: {"table": RNG.normal(size=(7, 3))},
    }
    for function, parameters in given.items():
        saved = afterfit.save(afterfit.ArrayModel(function, parameters), tmp_path / "a.afit", X=X)
        np.testing.assert_allclose(saved.predict(X), function(X, **parameters), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("model", "parameters", "reason"),
    [
        ("gru", {}, "there is no architecture"),
        ("elman", {"bias": [0.0]}, "needs the parameters recurrent"),
        ("linear", {"coef": [1.0], "slope": 1.0}, "no parameters slope"),
        ("linear", {"coef": np.ones((2, 2, 2))}, "3 dimensions"),
        ("linear", {"coef": [object()]}, "numbers or text"),
        ("embedding", {"words": ["a", "a"], "vectors": np.ones((2, 2))}, "differ from each other"),
        (3, {}, "a function"),
    ],
    ids=["unknown", "missing", "extra", "rank", "objects", "twice", "no function"],
)
def test_what_is_no_model_is_an_argument_error(model: Any, parameters: Any, reason: str):
    with pytest.raises(afterfit.ArgumentError, match=reason):
        afterfit.ArrayModel(model, parameters)


def test_export_reads_back_every_parameter(tmp_path: Path):
    path, out = tmp_path / "elman.afit", tmp_path / "elman.json"
    parameters = ELMAN | {"bias": np.array([0.1, -0.0, 1e-300, np.nan, np.inf])}
    afterfit.save(afterfit.ArrayModel("elman", parameters), path, X={"tokens": SEQUENCES})
    result = CliRunner().invoke(cli, ["export", str(path), "--format", "json", "-o", str(out)])
    assert result.exit_code == 0, result.output
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["architecture"] == "elman"
    assert document["name"] == "elman"
    assert document["parameters"].keys() == parameters.keys()
    for name, array in parameters.items():
        np.testing.assert_array_equal(np.array(document["parameters"][name], dtype=np.float64), array)
    printed = CliRunner().invoke(cli, ["export", str(path)])
    assert json.loads(printed.output) == document
    again = CliRunner().invoke(cli, ["export", str(path), "-o", str(out)])
    assert again.exit_code == 2
    assert "--force" in again.output


def test_a_bundle_without_arrays_has_nothing_to_export(hand_bundle: Path):
    result = CliRunner().invoke(cli, ["export", str(hand_bundle)])
    assert result.exit_code == 2
    assert "no parameters as arrays" in result.output
