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
from afterfit.lowering import find_export
from afterfit.schema import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from afterfit.schema import Column, Packed, Schema

QUANTILES = 101
TOP_VALUES = 1000

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
_RECORDED = ("afterfit", "numpy", "scipy", "pandas", "polars", "pyarrow", "onnx", "onnxruntime", "spox")


def framework_of(model: Any) -> Framework:
    """The framework whose class the model is, with its installed version."""
    root = type(model).__module__.partition(".")[0]
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
        if array.dtype == object:
            encoded = [value.encode() for value in array.ravel().tolist()]
            digest.update(np.array([len(value) for value in encoded], dtype="<i8").tobytes())
            digest.update(b"".join(encoded))
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def profile(schema: Schema, packed: Packed) -> bytes:
    """`profile.json`: for each column the model reads, how its values are distributed in `X`.

    Numbers: count, missing, mean, standard deviation (of the finite values, `ddof=0`) and 101 quantiles (linear
    interpolation, 0 to 100 %). Text and booleans: how often each of the 1,000 most frequent values occurs; of text
    that is cut into terms, how long it is.
    """
    columns = {
        column.name: _describe(column, packed) for column in schema.columns if column.input is not None
    }
    rows = next(iter(packed.values())).shape[0]
    return encode_json({"rows": rows, "columns": columns})


def _describe(column: Column, packed: Packed) -> dict[str, Any]:
    values = packed[str(column.input)][:, column.position]
    if column.analyzers is not None:
        return _describe_texts([decode_text(text) or "" for text in values.tolist()])
    if column.input == "text":
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


def _frequencies(counts: Mapping[Any, int]) -> dict[str, Any]:
    known = {value: count for value, count in counts.items() if value is not None and count}
    top = sorted(known.items(), key=lambda item: (-item[1], str(item[0])))[:TOP_VALUES]
    return {
        "count": sum(known.values()),
        "missing": counts.get(None, 0),
        "distinct": len(known),
        "values": [{"value": value, "count": count} for value, count in top],
    }


def training_entries(params: Mapping[str, Any] | None, metrics: Mapping[str, Any] | None) -> dict[str, bytes]:
    """The entries under `training/` for what was given; raises `ArgumentError` where it is not plain data."""
    entries = {}
    given = {"params": params, "metrics": metrics}
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
