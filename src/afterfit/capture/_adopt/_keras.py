"""Keras networks in files: their configuration is read as data and checked before Keras builds anything from it.

Keras imports classes by the module and name that a file states, and its own safe mode was got round more than once; so
here only layers and their parts by the names Keras has for them are let through, and no code that a file brings along.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

from afterfit.capture._adopt._frameworks import import_framework
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PARTS = frozenset(
    {
        "activations",
        "constraints",
        "dtype_policies",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "models",
        "optimizers",
        "quantizers",
        "regularizers",
    }
)
"""Parts of Keras whose classes a network may be made of."""

_CODE = frozenset({"FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper", "__lambda__"})
"""Layers that run code or read a file that the network's own file names."""

_VALUES = frozenset({"__tensor__", "__numpy__", "__tuple__", "__bytes__", "__slice__", "__ellipsis__"})
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]*")
_FUNCTION = re.compile(r"[a-z][a-z0-9_]*")
_ENTRIES = frozenset({"config.json", "metadata.json", "model.weights.h5"})
_MAX_CONFIG = 64 << 20


def load_network(path: Path, weights: Path | None, kind: str) -> Any:
    """The network in a `.keras` file, an `.h5` file, or a `model.json` with its weights.

    Raises `ArgumentError` where the file brings code along, or Keras cannot read it.
    """
    config = {"keras": _archive_config, "keras json": _json_config, "hdf5": _hdf5_config}[kind](path)
    if isinstance(config, dict):
        # How it was trained: Keras is told below not to read it.
        config.pop("compile_config", None)
    audit_config(config, path.name)
    models = import_framework("keras", path.name).models
    try:
        if kind != "keras json":
            return models.load_model(str(path), compile=False, safe_mode=True)
        if weights is None:
            raise ArgumentError(f"{path.name} holds a network without its weights; name them with --weights")
        _audit_hdf5(weights, weights.name)
        network = models.model_from_json(json.dumps(config))
        network.load_weights(str(weights))
    except (ValueError, TypeError, KeyError, OSError, AttributeError, ImportError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArgumentError(f"Keras cannot read {path.name}: {first}") from error
    return network


def audit_config(config: Any, label: str) -> None:
    """Refuse a configuration that names anything but the parts of Keras that networks are made of."""
    for part in _parts(config, label):
        name, module = part.get("class_name"), part.get("module")
        if name in _VALUES and module is None:
            continue
        if not isinstance(name, str) or name in _CODE:
            raise _refusal(label, f"the layer {name!r:.60}, which runs code or reads another file")
        if name == "function":
            inner = part.get("config")
            known = isinstance(inner, str) and _FUNCTION.fullmatch(inner)
            if not known or module not in (None, "builtins", "keras.activations", "keras.src.activations"):
                raise _refusal(label, f"the function {module}.{inner!r:.60}")
            continue
        if not _CLASS.fullmatch(name) or not _is_keras(module):
            raise _refusal(label, f"{module}.{name}"[:100])
        settings = part.get("config")
        if isinstance(settings, dict) and isinstance(settings.get("vocabulary"), str):
            raise _refusal(label, f"a {name} whose vocabulary is another file")


def _is_keras(module: Any) -> bool:
    if module is None:
        return True
    if not isinstance(module, str):
        return False
    names = module.split(".")
    if names[0] != "keras":
        return False
    rest = names[2:] if names[1:2] == ["src"] else names[1:]
    return not rest or rest[0] in _PARTS


def _refusal(label: str, what: str) -> ArgumentError:
    return ArgumentError(
        f"{label} is refused: it asks for {what}, which is no part that Keras itself makes networks of. None of it was "
        "run. Build the network in Python, where its code is at hand, and save it with afterfit.save"
    )


def _parts(config: Any, label: str) -> Iterator[dict[str, Any]]:
    """Every object of a configuration that names a class, at any depth."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            if "class_name" in value:
                yield value
            elif "module" in value:
                raise _refusal(label, "a module without a class")
            pending += value.values()


def _json_config(path: Path) -> Any:
    return _decoded(path.read_bytes(), path.name)


def _archive_config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            spare = sorted(names - _ENTRIES)
            if spare or not names >= {"config.json", "model.weights.h5"}:
                raise ArgumentError(
                    f"{path.name} is refused: a .keras file holds config.json, metadata.json and model.weights.h5, and "
                    f"this one differs by {', '.join(spare[:5]) or 'what it lacks'}"
                )
            if archive.getinfo("config.json").file_size > _MAX_CONFIG:
                raise ArgumentError(f"{path.name} is refused: its config.json is larger than 64 MiB")
            _audit_hdf5(io.BytesIO(archive.read("model.weights.h5")), path.name)
            return _decoded(archive.read("config.json"), path.name)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise ArgumentError(f"{path.name} cannot be read as a .keras file: {error}") from error


def _hdf5_config(path: Path) -> Any:
    _audit_hdf5(path, path.name)
    h5py = import_framework("h5py", path.name)
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
    if config is None:
        raise ArgumentError(
            f"{path.name} holds weights without a network: adopt the model.json, and name this file with --weights"
        )
    return _decoded(config if isinstance(config, bytes) else str(config).encode(), path.name)


def _decoded(content: bytes, label: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"the configuration in {label} is not JSON: {error}") from error


def _audit_hdf5(file: Any, label: str) -> None:
    """Refuse a file of weights that points to other files."""
    h5py = import_framework("h5py", label)
    try:
        with h5py.File(file, "r") as opened:
            pending = [opened]
            while pending:
                group = pending.pop()
                for name in group:
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        raise ArgumentError(f"{label} is refused: {name!r:.60} in it points elsewhere")
                    member = group[name]
                    if isinstance(member, h5py.Group):
                        pending.append(member)
                    elif not isinstance(member, h5py.Dataset) or member.external or member.is_virtual:
                        raise ArgumentError(f"{label} is refused: {name!r:.60} in it is held in another file")
    except (OSError, KeyError, RuntimeError) as error:
        raise ArgumentError(f"{label} cannot be read as HDF5: {error}") from error
