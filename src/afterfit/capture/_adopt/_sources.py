"""Which library wrote a file, told by its content, and the fitted object in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from afterfit.capture._adopt._open import unpickle
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path

    from afterfit.capture._adopt._allowed import AllowList

Kind = Literal["pickle", "keras", "keras json", "hdf5", "xgboost", "lightgbm", "catboost", "onnx"]

_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"CBM1", "catboost"),
    (b"tree\n", "lightgbm"),
    (b"{L\x00", "xgboost"),
    (b"\x80", "pickle"),
)
"""How files begin; XGBoost's UBJSON by an object whose first key has its length in 8 bytes."""

_SUFFIXES: dict[str, Kind] = {
    ".keras": "keras",
    ".ubj": "xgboost",
    ".txt": "lightgbm",
    ".onnx": "onnx",
    ".bin": "xgboost",
    ".model": "xgboost",
    **dict.fromkeys(
        (".joblib", ".pkl", ".pickle", ".sav", ".gz", ".z", ".bz2", ".xz", ".lzma", ".lz4", ".dump"), "pickle"
    ),
}
_HEAD = 64


def kind_of_file(path: Path) -> Kind:
    """What a file holds, by its first bytes; its suffix decides only where these do not.

    Raises `ArgumentError` for a file of none of the kinds.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    suffix = path.suffix.lower()
    if head[:1] == b"{" and suffix == ".json":
        return _kind_of_json(path)
    kind = next((kind for start, kind in _STARTS if head.startswith(start)), None) or _SUFFIXES.get(suffix)
    if kind is None:
        raise ArgumentError(
            f"{path.name} is of no kind that can be adopted: .joblib, .pkl, .keras, Keras .json with .h5 weights, "
            "XGBoost .json or .ubj, LightGBM .txt, CatBoost .cbm or .json, .onnx"
        )
    return kind


def _kind_of_json(path: Path) -> Kind:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"{path.name} is not JSON: {error}") from error
    keys = set(document)
    if "learner" in keys:
        return "xgboost"
    if keys & {"oblivious_trees", "model_info"}:
        return "catboost"
    if {"class_name", "config"} <= keys:
        return "keras json"
    raise ArgumentError(f"{path.name} is a JSON file of neither Keras, XGBoost nor CatBoost")


def load_object(path: Path, weights: Path | None, allowed: AllowList) -> tuple[Any, set[str]]:
    """The fitted object in a file, and the versions of scikit-learn that a pickle says it was made with.

    Raises `ArgumentError` where the file cannot be read, or its library is not installed.
    """
    kind = kind_of_file(path)
    if weights is not None and kind != "keras json":
        raise ArgumentError(f"weights belong to a Keras model.json, and {path.name} is of kind {kind}")
    if kind == "pickle":
        return unpickle(path, allowed)
    from afterfit.capture._adopt import _boosters, _keras

    if kind in {"keras", "keras json", "hdf5"}:
        return _keras.load_network(path, weights, kind), set()
    if kind == "onnx":
        from afterfit.lowering.onnx._model import OnnxGraph

        return OnnxGraph(path.read_bytes(), path.name), set()
    return _boosters.load_booster(path, kind), set()
