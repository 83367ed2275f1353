"""Keras networks in files: read whole, or refused before Keras builds anything."""

from __future__ import annotations

import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import afterfit
from afterfit.capture._adopt._allowed import AllowList
from afterfit.capture._adopt._keras import audit_config
from afterfit.capture._adopt._sources import load_object
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROWS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


def layer(name: str = "Dense", module: Any = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def network(*layers: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}}


@pytest.mark.parametrize(
    "harmless",
    [
        layer(),
        layer("Dense", "keras.src.layers.core.dense"),
        layer("Dense", None),
        layer(kernel_initializer=layer("GlorotUniform", "keras.initializers")),
        layer("Activation", activation={"module": "builtins", "class_name": "function", "config": "relu"}),
        layer("Rescaling", scale={"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "float32"}}),
    ],
    ids=lambda part: f"{part['module']}.{part['class_name']}",
)
def test_parts_of_keras_are_let_through(harmless: dict[str, Any]):
    audit_config(network(harmless), "model.json")


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4w=="}}), "Lambda"),
        (layer("TorchModuleWrapper", module="keras.layers"), "TorchModuleWrapper"),
        (layer("TFSMLayer", filepath="/tmp/x"), "TFSMLayer"),
        (layer("Popen", module="subprocess"), "subprocess.Popen"),
        (layer("system", module="os"), "os.system"),
        (layer("get_file", module="keras.utils"), "keras.utils.get_file"),
        (layer("Dense", module="keras_evil.layers"), "keras_evil.layers.Dense"),
        (layer(activation={"module": "os", "class_name": "function", "config": "system"}), "os.'system'"),
        (
            layer(activation={"module": "builtins", "class_name": "function", "config": "os.system"}),
            "os.system",
        ),
        (
            layer(activation={"module": "keras.saving", "class_name": "function", "config": "load_model"}),
            "load",
        ),
        (layer("StringLookup", vocabulary="/etc/passwd"), "vocabulary is another file"),
        (layer(deep=[{"a": layer("Lambda")}]), "Lambda"),
        ({"module": "os", "config": {}}, "a module without a class"),
        (layer(7), "the layer 7"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_code_in_a_configuration_is_refused(hostile: dict[str, Any], named: str):
    with pytest.raises(ArgumentError) as caught:
        audit_config(network(hostile), "model.json")
    assert named in str(caught.value)
    assert "None of it was run" in str(caught.value)


@pytest.fixture(scope="module")
def fitted() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("torch", reason="the backend of Keras")
    keras = pytest.importorskip("keras", reason="an extra")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def answers(model: Any) -> Any:
    return model.predict(ROWS, verbose=0)


def test_a_network_and_its_weights(fitted: Any, tmp_path: Path):
    (tmp_path / "model.json").write_text(fitted.to_json())
    fitted.save_weights(tmp_path / "model.weights.h5")
    allowed = AllowList("model.json")
    again, _ = load_object(tmp_path / "model.json", tmp_path / "model.weights.h5", allowed)
    np.testing.assert_array_equal(answers(again), answers(fitted))
    with pytest.raises(ArgumentError, match="name them with --weights"):
        load_object(tmp_path / "model.json", None, allowed)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_whole_network_in_one_file(fitted: Any, tmp_path: Path, suffix: str):
    fitted.save(tmp_path / f"model{suffix}")
    again, _ = load_object(tmp_path / f"model{suffix}", None, AllowList("model"))
    np.testing.assert_array_equal(answers(again), answers(fitted))


def test_code_in_a_file_is_refused_before_keras_sees_it(fitted: Any, tmp_path: Path):
    h5py = pytest.importorskip("h5py", reason="Keras keeps weights in HDF5")
    fitted.save(tmp_path / "model.keras")
    with (
        zipfile.ZipFile(tmp_path / "model.keras") as old,
        zipfile.ZipFile(tmp_path / "bad.keras", "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(b'"Dense"', b'"Lambda"') if name == "config.json" else content)
    with pytest.raises(ArgumentError, match="Lambda"):
        load_object(tmp_path / "bad.keras", None, AllowList("bad.keras"))
    with zipfile.ZipFile(tmp_path / "model.keras", "a") as archive:
        archive.writestr("assets/x.txt", "x")
    with pytest.raises(ArgumentError, match="differs by assets/x"):
        load_object(tmp_path / "model.keras", None, AllowList("model.keras"))
    (tmp_path / "model.json").write_text(json.dumps(json.loads(fitted.to_json())))
    with h5py.File(tmp_path / "linked.weights.h5", "w") as file:
        file["away"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ArgumentError, match="'away' in it points elsewhere"):
        load_object(tmp_path / "model.json", tmp_path / "linked.weights.h5", AllowList("model.json"))


def test_a_file_and_its_scalers_become_a_bundle(fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    joblib = pytest.importorskip("joblib", reason="comes with scikit-learn")
    pd = pytest.importorskip("pandas", reason="reads the sample")
    from sklearn.preprocessing import MinMaxScaler

    monkeypatch.setenv("KERAS_BACKEND", "torch")
    raw = pd.DataFrame(ROWS.astype(np.float64) * 37 + 11, columns=["a", "b", "c"])
    scaler = MinMaxScaler().fit(raw)
    fitted.save(tmp_path / "net.keras")
    joblib.dump(scaler, tmp_path / "scaler.joblib")
    raw.to_csv(tmp_path / "rows.csv", index=False)
    adopted = afterfit.adopt(
        tmp_path / "net.keras",
        tmp_path / "net.afit",
        rows=tmp_path / "rows.csv",
        preprocess=tmp_path / "scaler.joblib",
        raw_inputs=True,
    )
    expected = fitted.predict(scaler.transform(raw), verbose=0)
    np.testing.assert_allclose(adopted.predict(raw), expected, rtol=1e-5)
