"""The process that adopts a model: it alone ever holds what a file of a stranger makes.

Started as `python -m afterfit.capture._adopt._child REQUEST REPORT`. It reads the request, applies its limits, opens
the files through the allow-list, saves the bundle, and writes a report; the process that started it takes the bundle
as data, and audits it as any other.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from afterfit.capture._adopt._allowed import AllowList
from afterfit.capture._adopt._limits import Limits
from afterfit.capture._adopt._request import Outcome, Request, told
from afterfit.capture._adopt._rows import read_rows, split_rows
from afterfit.capture._adopt._sources import kind_of_file, load_object
from afterfit.capture._save import save
from afterfit.errors import AfterfitError, ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

_LIBRARIES = {
    "catboost": ("catboost",),
    "keras": ("keras", "h5py"),
    "keras json": ("keras", "h5py"),
    "hdf5": ("keras", "h5py"),
    "lightgbm": ("lightgbm",),
    "onnx": ("onnx", "onnxruntime"),
    "xgboost": ("xgboost",),
}
"""What is imported before reading is guarded: importing loads libraries and may write settings."""


def main(request_path: str, report_path: str) -> None:
    """Adopt as the request says, and report."""
    request = msgspec.json.decode(Path(request_path).read_bytes(), type=Request)
    limits = Limits(memory=request.memory, seconds=request.seconds)
    try:
        outcome = Outcome(notes=tuple(adopt_here(request, limits)))
    except AfterfitError as error:
        outcome = told(error)
    Path(report_path).write_bytes(msgspec.json.encode(outcome))


def adopt_here(request: Request, limits: Limits) -> list[str]:
    """Open the files, save the bundle, and return what the person should know.

    Raises what `afterfit.save` raises, and `ArgumentError` for a file that is refused.
    """
    paths = [*request.before, request.model, *([request.after] if request.after else [])]
    _import_libraries({kind_of_file(Path(path)) for path in paths}, request.trust)
    versions: set[str] = set()
    objects: list[Any] = []
    with limits.reading():
        for path in paths:
            weights = Path(request.weights) if request.weights and path == request.model else None
            allowed = AllowList(Path(path).name, request.trust)
            held, made_with = load_object(Path(path), weights, allowed)
            _check_fitted(held, Path(path).name)
            objects.append(held)
            versions |= made_with
    notes = _check_versions(versions, request)
    before = objects[: len(request.before)]
    model = objects[len(request.before)]
    X, y, said = split_rows(read_rows(Path(request.rows)), request.target, (before or [model])[0])
    save(
        model,
        request.output,
        X=X,
        y=y,
        preprocess=before or None,
        postprocess=objects[-1] if request.after else None,
        name=request.name,
        description=request.description,
        raw_inputs=request.raw_inputs,
    )
    return notes + said


def _import_libraries(kinds: Iterable[str], trusted: Iterable[str]) -> None:
    if {"keras", "keras json", "hdf5"} & set(kinds):
        os.environ.setdefault("KERAS_BACKEND", "torch")
    for library in sorted({name for kind in kinds for name in _LIBRARIES.get(kind, ())} | set(trusted)):
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise ArgumentError(f"{library} cannot be imported: {error}; pip install {library}") from error


def _check_fitted(held: Any, label: str) -> None:
    if isinstance(held, dict | list | tuple):
        names = (
            [f"{name!r}: {type(value).__name__}" for name, value in held.items()]
            if isinstance(held, dict)
            else []
        )
        kinds = ", ".join(names or [type(value).__name__ for value in held][:10])
        raise ArgumentError(
            f"{label} holds a {type(held).__name__} ({kinds}), not one fitted object; dump each to a file of its own"
        )
    if not any(callable(getattr(held, method, None)) for method in ("predict", "transform")):
        raise ArgumentError(f"{label} holds a {type(held).__name__}, which is no fitted model or transformer")


def _check_versions(versions: set[str], request: Request) -> list[str]:
    """The version of scikit-learn is that of the file: another may read the same file and answer differently."""
    if not versions:
        return []
    installed = str(importlib.import_module("sklearn").__version__)
    others = sorted(versions - {installed})
    if not others:
        return []
    made = " and ".join(others)
    if request.allow_version_change:
        return [
            f"made with scikit-learn {made}, read with {installed}: what is proved is that the bundle answers as the "
            f"model does here, not as it did where it was trained"
        ]
    raise ArgumentError(
        f"{Path(request.model).name} was made with scikit-learn {made}, and {installed} is installed, which may "
        f"answer differently: pip install scikit-learn=={others[-1]}, or --allow-version-change to prove parity with "
        f"the model as {installed} reads it"
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
