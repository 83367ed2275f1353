"""PyTorch modules and Keras models, from saving to training on. One file, since importing torch takes seconds."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import LabelEncoder, MinMaxScaler, StandardScaler

import afterfit
from afterfit.errors import (
    ArgumentError,
    ForgottenPreprocessingError,
    SchemaError,
    UnsupportedModelError,
)

torch = pytest.importorskip("torch", reason="needs the extra `torch`")
pytest.importorskip("onnxscript", reason="needs the extra `torch`")
nn = torch.nn

pytestmark = [
    pytest.mark.xdist_group("networks"),
    # Keras 3 hands its own tensors to NumPy in a way that NumPy 2 deprecates.
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    ),
]
EXAMPLE = Path(__file__).parents[2] / "examples" / "forgotten_scaler.py"


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    return np.random.default_rng(0)


@pytest.fixture
def keras():
    found = pytest.importorskip("keras", reason="needs the extra `keras`")
    found.utils.set_random_seed(0)
    return found


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 4)
        self.recur = nn.GRU(4, 5, batch_first=True)
        self.out = nn.Linear(5, 2)

    def forward(self, tokens: Any) -> Any:
        states, _ = self.recur(self.embed(tokens))
        return self.out(states[:, -1])


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 4)
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, image: Any, age: Any) -> Any:
        return self.dense(age).mean(1) + self.conv(image).mean((1, 2, 3))


def classifier() -> Any:
    layers = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3), nn.Softmax(-1)
    return nn.Sequential(*layers).eval()


def test_a_table_is_one_matrix(tmp_path, seeded):
    X = pd.DataFrame(seeded.normal(size=(200, 4)), columns=list("abcd"))
    module = classifier()
    model = afterfit.save(module, tmp_path / "x.afit", X=X)
    expected = module(torch.tensor(X.to_numpy(), dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-6)
    assert (model.report.precision, model.report.tolerance) == ("float32", 1e-6)
    assert (model.manifest.framework.name, model.manifest.format) == ("torch", 1)
    assert model.predict(X.head(1)).shape == (1, 3)
    with pytest.raises(SchemaError, match="column 'b': expected a number, got null"):
        model.predict([{"a": 1, "b": None, "c": 1, "d": 1}])


def test_an_encoder_of_the_targets_makes_labels(tmp_path, seeded):
    X = seeded.normal(size=(60, 4))
    module, scaler = classifier(), StandardScaler().fit(X)
    labels = LabelEncoder().fit(["low", "mid", "high"])
    model = afterfit.save(module, tmp_path / "x.afit", X=X, preprocess=scaler, postprocess=labels)
    known = module(torch.tensor(scaler.transform(X), dtype=torch.float32)).detach().numpy()
    assert model.task == "classification"
    assert model.predict(X).tolist() == labels.inverse_transform(known.argmax(axis=1)).tolist()
    np.testing.assert_allclose(model.predict_proba(X), known, atol=1e-6)
    assert model.classes.tolist() == labels.classes_.tolist()
    one = nn.Linear(4, 1).eval()
    with pytest.raises(UnsupportedModelError, match="no probability"):
        afterfit.save(one, tmp_path / "y.afit", X=X, postprocess=LabelEncoder().fit([0, 1]))
    with pytest.raises(UnsupportedModelError, match="knows 2 classes"):
        afterfit.save(module, tmp_path / "y.afit", X=X, postprocess=LabelEncoder().fit([0, 1]))


def test_sequences_of_any_length(tmp_path, seeded):
    rows = [seeded.integers(0, 20, 3 + i % 4) for i in range(50)]
    module = Tokens().eval()
    model = afterfit.save(module, tmp_path / "x.afit", X={"tokens": rows})
    expected = [module(torch.tensor(row)[None]).detach().numpy()[0] for row in rows]
    np.testing.assert_allclose(model.predict([{"tokens": row.tolist()} for row in rows]), expected, atol=1e-6)
    with pytest.raises(SchemaError, match="at most 19, got 20 at"):
        model.predict([{"tokens": [3, 20]}])
    with pytest.raises(ArgumentError, match="give X="):
        afterfit.save(module, tmp_path / "x.afit", X=seeded.integers(0, 20, (50, 5)))


def test_a_sequence_that_is_too_short_for_the_network_is_an_error_of_its_row(tmp_path, seeded):
    class Filtered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 3, 3)

        def forward(self, series: Any) -> Any:
            return self.conv(series).mean(2)

    rows = [seeded.normal(size=(2, 4 + i % 3)) for i in range(30)]
    model = afterfit.save(Filtered().eval(), tmp_path / "x.afit", X={"series": rows})
    with pytest.raises(
        SchemaError, match=r"row 1: expected arrays of sizes that .* got arrays of sizes \[2, 2\]"
    ):
        model.predict([{"series": [[0.0] * 5] * 2}, {"series": [[0.0] * 2] * 2}])


def test_several_inputs_by_name_or_in_order(tmp_path, seeded):
    image, age = seeded.normal(size=(30, 1, 8, 8)).astype(np.float32), seeded.normal(size=(30, 3))
    module = Two().eval()
    expected = module(torch.tensor(image), torch.tensor(age, dtype=torch.float32)).detach().numpy()
    for X in ({"age": age, "image": image}, [torch.tensor(image), torch.tensor(age)]):
        model = afterfit.save(module, tmp_path / "x.afit", X=X)
        assert {column.name for column in model.schema.columns} == {"age", "image"}
        np.testing.assert_allclose(model.predict(X), expected, atol=1e-6)
    with pytest.raises(UnsupportedModelError, match="it takes image, age"):
        afterfit.save(module, tmp_path / "x.afit", X={"image": image})


def test_what_cannot_be_captured_is_refused_with_the_way_out(tmp_path, seeded):
    X = seeded.normal(size=(20, 4))

    class Pair(nn.Module):
        def forward(self, x: Any) -> Any:
            return x, x

    class Summed(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.sum()

    for module, reason in (
        (classifier().train(), r"Call model\.eval\(\) first"),
        (Pair().eval(), "answers with a tuple"),
        (Summed().eval(), "rows first"),
        (classifier().half(), "float16"),
    ):
        with pytest.raises(UnsupportedModelError, match=reason):
            afterfit.save(module, tmp_path / "x.afit", X=X)
    assert list(tmp_path.iterdir()) == []


def test_a_float64_module_is_exact(tmp_path, seeded):
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double().eval()
    model = afterfit.save(module, tmp_path / "x.afit", X=seeded.normal(size=(40, 4)))
    assert (model.report.precision, model.report.tolerance) == ("float64", 1e-12)


def test_training_of_a_module_goes_on(tmp_path, seeded):
    from safetensors.torch import load

    X = seeded.normal(size=(40, 4))
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).eval()
    model = afterfit.save(module, tmp_path / "x.afit", X=X)
    again = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    (tmp_path / "y").mkdir()
    afterfit.save(module, tmp_path / "y" / "x.afit", X=X)
    assert (tmp_path / "y" / "x.afit").read_bytes() == (tmp_path / "x.afit").read_bytes()
    again.load_state_dict(load(model.bundle.entries["native/weights.safetensors"]))
    given = torch.tensor(X, dtype=torch.float32)
    assert torch.equal(again(given), module(given))
    loss = again(given).square().mean()
    loss.backward()
    torch.optim.SGD(again.parameters(), 0.01).step()
    assert again(given).square().mean() < loss


def build_keras(keras: Any, kind: str, rng: Any) -> tuple[Any, Any]:
    layers = keras.layers
    if kind == "table":
        normal = layers.Normalization()
        X = rng.normal(size=(60, 4))
        normal.adapt(X)
        inner = [layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3)]
        return keras.Sequential([keras.Input((4,)), normal, *inner, layers.Softmax()]), X
    if kind == "image":
        inner = [layers.Conv2D(2, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
        return keras.Sequential([keras.Input((8, 8, 1)), *inner, layers.Dense(1)]), rng.normal(
            size=(40, 8, 8, 1)
        )
    if kind == "sequence":
        inner = [layers.LSTM(5, return_sequences=True), layers.GRU(3), layers.Dense(1)]
        return keras.Sequential([keras.Input((6, 4)), *inner]), rng.normal(size=(40, 6, 4))
    if kind == "loop":
        inner = [layers.SimpleRNN(5, return_sequences=True), layers.SimpleRNN(3, go_backwards=True)]
        return keras.Sequential([keras.Input((4, 3)), *inner]), rng.normal(size=(40, 4, 3))
    if kind == "padded":
        inner = [
            layers.Embedding(20, 3, mask_zero=True),
            layers.Bidirectional(layers.LSTM(2)),
            layers.Dense(1),
        ]
        tokens = rng.integers(1, 20, (40, 4))
        # Of every length from none on, and with gaps inside.
        tokens[np.arange(4) >= rng.integers(0, 5, (40, 1))] = 0
        tokens[:5, 1] = 0
        return keras.Sequential([keras.Input((4,), dtype="int32"), *inner]), {"tokens": tokens}
    if kind == "masked":
        inner = [
            layers.Masking(0.0),
            layers.RNN(layers.GRUCell(3), return_sequences=True, zero_output_for_mask=True),
            layers.GlobalAveragePooling1D(),
        ]
        values = rng.normal(size=(40, 3, 2))
        values[rng.random((40, 3)) < 0.4] = 0.0
        return keras.Sequential([keras.Input((3, 2)), *inner]), values
    if kind == "tokens":
        inner = [layers.Embedding(20, 4), layers.LSTM(5), layers.Dense(1)]
        return keras.Sequential([keras.Input((6,), dtype="int32"), *inner]), {
            "tokens": rng.integers(0, 20, (40, 6))
        }
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    model = keras.Model({"a": a, "b": b}, layers.Dense(1)(layers.Concatenate()([a, b])))
    return model, {"a": rng.normal(size=(40, 4)), "b": rng.normal(size=(40, 2))}


@pytest.mark.parametrize(
    "kind", ["table", "image", "sequence", "tokens", "loop", "padded", "masked", "several"]
)
def test_keras_models(keras, tmp_path, seeded, kind):
    network, X = build_keras(keras, kind, seeded)
    given = X["tokens"] if kind in {"tokens", "padded"} else X
    expected = network.predict(given, verbose=0)
    model = afterfit.save(network, tmp_path / "x.afit", X=X)
    np.testing.assert_allclose(model.predict(X), expected, atol=2e-6)
    assert model.manifest.framework.name == "keras"
    assert model.report.tolerance == 1e-6


def test_a_keras_subclass(keras, tmp_path, seeded):
    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.dense(inputs)

    X = seeded.normal(size=(20, 4))
    network = Mine()
    with pytest.raises(UnsupportedModelError, match="no weights yet"):
        afterfit.save(network, tmp_path / "x.afit", X=X)
    expected = network.predict(X, verbose=0)
    np.testing.assert_allclose(
        afterfit.save(network, tmp_path / "x.afit", X=X).predict(X), expected, atol=1e-6
    )


def test_training_of_a_keras_model_goes_on(keras, tmp_path, seeded):
    network, X = build_keras(keras, "table", seeded)
    model = afterfit.save(network, tmp_path / "x.afit", X=X)
    entries = model.bundle.entries
    again = keras.models.model_from_json(entries["native/model.json"].decode())
    (tmp_path / "model.weights.h5").write_bytes(entries["native/model.weights.h5"])
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again.predict(X, verbose=0), network.predict(X, verbose=0))
    again.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy")
    labels = X.argmax(axis=1) % 3
    before = again.evaluate(X, labels, verbose=0)
    again.fit(X, labels, epochs=20, verbose=0)
    assert again.evaluate(X, labels, verbose=0) < before


def test_another_backend_is_refused(keras, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    from afterfit.lowering.keras._model import adapt_model

    with pytest.raises(UnsupportedModelError, match="KERAS_BACKEND=torch"):
        adapt_model(keras.Sequential())


def test_a_scaler_that_was_forgotten_is_found_out(tmp_path, seeded):
    X = seeded.normal(1000, 100, size=(200, 1))
    y = X[:, :1] * 3
    before, after = MinMaxScaler().fit(X), MinMaxScaler().fit(y)
    module = nn.Linear(1, 1).eval()
    with torch.no_grad():
        module.weight.fill_(1.0)
        module.bias.fill_(0.0)
    with pytest.raises(ForgottenPreprocessingError, match="postprocess"):
        afterfit.save(module, tmp_path / "x.afit", X=X, y=y)
    with pytest.raises(ForgottenPreprocessingError):
        afterfit.save(module, tmp_path / "x.afit", X=X, y=y, preprocess=before)
    model = afterfit.save(module, tmp_path / "x.afit", X=X, y=y, preprocess=before, postprocess=after)
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-5)


def test_the_example_runs(keras, tmp_path, capsys):
    del keras
    runpy.run_path(str(EXAMPLE))["main"](tmp_path)
    assert "refused" in capsys.readouterr().out
    bundle = afterfit.load(tmp_path / "diabetes.afit").bundle
    assert {"training/history.json", "training/curves.svg"} <= bundle.entries.keys()
    assert not (tmp_path / "alone.afit").exists()


def test_the_page_runs(keras, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (EXAMPLE.parents[1] / "docs" / "networks.md").read_text(encoding="utf-8")
    first, second, third = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(first, names)
    exec(second, names)
    assert names["network"].training
    network, X = build_keras(keras, "table", np.random.default_rng(0))
    bundle = afterfit.save(network, "keras.afit", X=X).bundle
    names = {"keras": keras, "Path": Path, "bundle": bundle}
    exec(third, names)
    np.testing.assert_array_equal(names["network"].predict(X, verbose=0), network.predict(X, verbose=0))


def test_importing_the_lowerings_imports_no_framework():
    program = (
        "import sys, afterfit.lowering as l; l.registered();"
        "print([name for name in ('torch', 'keras', 'onnxscript') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
