"""What goes into a bundle beside the graph: the training distribution, the environment, parameters and metrics."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.bundle import Framework, encode_json
from afterfit.errors import ArgumentError
from afterfit.lowering import find_export, find_framework
from afterfit.schema import decode_text, is_ragged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from afterfit.schema import Column, Packed, Schema

QUANTILES = 101
TOP_VALUES = 1000
MAX_ELEMENTS = 1_000_000
"""Elements of a tensor column that its distribution is described from."""

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
_RECORDED = ("afterfit", "numpy", "scipy", "pandas", "polars", "pyarrow", "onnx", "onnxruntime", "spox")


def framework_of(model: Any) -> Framework:
    """The framework whose class the model is, with its installed version."""
    root = find_framework(model)
    name = _DISTRIBUTIONS.get(root, root)
    return Framework(name=name, version=_version(name) or "unknown", model=_model_name(model))


def _model_name(model: Any) -> str:
    steps = getattr(model, "steps", None)
    if steps:
        return f"{type(model).__name__}({', '.join(type(step).__name__ for _, step in steps)})"
    return type(model).__name__


def environment(models: Iterable[Any]) -> bytes:
    """`environment.json`: Python, platform and the versions of the packages that had a part in the answers.

    `models`: the model and the estimators inside it.
    """
    frameworks = {framework_of(model).name for model in models}
    names = sorted({*_RECORDED, *frameworks})
    packages = {name: version for name in names if (version := _version(name)) is not None}
    return encode_json(
        {
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "platform": f"{sys.platform}-{platform.machine()}",
            "packages": packages,
        }
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        # A module may come in a distribution of another name, as xgboost does in xgboost-cpu.
        others = importlib.metadata.packages_distributions().get(name, [])
        return importlib.metadata.version(others[0]) if others else None


def native_entries(models: Iterable[Any]) -> dict[str, bytes]:
    """The entries under `native/`: every one of `models` that can be written in its framework's own format.

    Where there is more than one, the names begin with their number.
    """
    exported = [export(model) for model in models if (export := find_export(model)) is not None]
    return {
        f"native/{name if len(exported) == 1 else f'{number}-{name}'}": content
        for number, files in enumerate(exported)
        for name, content in files.items()
    }


def fingerprint(packed: Packed) -> str:
    """SHA-256 of the packed rows of `X`: equal for equal values, whatever table they came in."""
    digest = hashlib.sha256()
    for name in sorted(packed):
        array = packed[name]
        digest.update(f"{name}{array.shape}".encode())
        if is_ragged(array):
            for part in array:
                digest.update(f"{part.shape}".encode())
                digest.update(_content(part))
        else:
            digest.update(_content(array))
    return digest.hexdigest()


def _content(array: NDArray[Any]) -> bytes:
    """The values of an array as bytes, from which they can be told: strings with their lengths before them."""
    if array.dtype != object:
        return np.ascontiguousarray(array).tobytes()
    encoded = [value.encode() for value in array.ravel().tolist()]
    return np.array([len(value) for value in encoded], dtype="<i8").tobytes() + b"".join(encoded)


def profile(schema: Schema, packed: Packed) -> bytes:
    """`profile.json`: for each column the model reads, how its values are distributed in `X`.

    Numbers: count, missing, mean, standard deviation (of the finite values, `ddof=0`) and 101 quantiles (linear
    interpolation, 0 to 100 %). Text and booleans: how often each of the 1,000 most frequent values occurs; of text
    that is cut into terms, how long it is. Of a tensor column, the elements are described so, at most 1,000,000 of
    them, evenly spread.
    """
    columns = {
        column.name: _describe(column, packed) for column in schema.columns if column.input is not None
    }
    rows = next(iter(packed.values())).shape[0]
    return encode_json({"rows": rows, "columns": columns})


def _describe(column: Column, packed: Packed) -> dict[str, Any]:
    values = packed[str(column.input)]
    values = values[:, column.position] if column.shape is None else _elements(values)
    if column.analyzers is not None:
        return _describe_texts([decode_text(text) or "" for text in values.tolist()])
    if column.type == "string":
        counts = Counter(values.tolist())
        return _frequencies({decode_text(text): count for text, count in counts.items()})
    numbers = values.astype(np.float64)
    known = numbers[~np.isnan(numbers)]
    if column.type == "boolean":
        counted = {value: int((numbers == value).sum()) for value in (False, True)}
        return _frequencies({**counted, None: len(numbers) - len(known)})
    finite = known[np.isfinite(known)]
    described: dict[str, Any] = {"count": len(known), "missing": len(numbers) - len(known)}
    if len(finite):
        described |= {
            "mean": float(finite.mean()),
            "standard_deviation": float(finite.std()),
            "quantiles": np.quantile(finite, np.linspace(0, 1, QUANTILES)).tolist(),
        }
    return described


def _describe_texts(texts: list[str]) -> dict[str, Any]:
    """Lengths in characters, and no texts: a bundle is no copy of the training documents."""
    lengths = np.array([len(text) for text in texts], dtype=np.float64)
    return {
        "count": len(texts),
        "missing": 0,
        "distinct": len(set(texts)),
        "characters": {
            "mean": float(lengths.mean()),
            "standard_deviation": float(lengths.std()),
            "quantiles": np.quantile(lengths, np.linspace(0, 1, QUANTILES)).tolist(),
        },
    }


def _elements(values: NDArray[Any]) -> NDArray[Any]:
    """The elements of a tensor column, in one dimension: all of them, or `MAX_ELEMENTS` evenly spread."""
    flat = np.concatenate([part.ravel() for part in values]) if is_ragged(values) else values.ravel()
    if len(flat) <= MAX_ELEMENTS:
        return flat
    return flat[np.linspace(0, len(flat) - 1, MAX_ELEMENTS).astype(np.int64)]


def _frequencies(counts: Mapping[Any, int]) -> dict[str, Any]:
    known = {value: count for value, count in counts.items() if value is not None and count}
    top = sorted(known.items(), key=lambda item: (-item[1], str(item[0])))[:TOP_VALUES]
    return {
        "count": sum(known.values()),
        "missing": counts.get(None, 0),
        "distinct": len(known),
        "values": [{"value": value, "count": count} for value, count in top],
    }


def training_entries(
    params: Mapping[str, Any] | None, metrics: Mapping[str, Any] | None, run: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    """The entries under `training/` for what was given; raises `ArgumentError` where it is not plain data."""
    entries = {}
    given = {"params": params, "metrics": metrics, "run": run}
    for name, value in given.items():
        if value is None:
            continue
        try:
            entries[f"training/{name}.json"] = encode_json(_plain(value))
        except TypeError as error:
            raise ArgumentError(
                f"{name} must be plain data (numbers, text, lists, dicts): {error}"
            ) from error
    return entries


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} is not")
