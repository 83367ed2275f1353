"""keras.Model: Sequential, functional and subclassed, on the torch backend."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterfit.errors import UnsupportedModelError
from afterfit.lowering._registry import adapts, exports, includes_subclasses, lowers
from afterfit.lowering.keras._loops import written_out_loops
from afterfit.lowering.torch._lower import lower_network
from afterfit.lowering.torch._network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Regression, Table

MODEL = "keras.src.models.model.Model"
includes_subclasses(MODEL)


@adapts(MODEL)
def adapt_model(model: Any) -> Network:
    """The model, asked with raw rows, as `model(rows, training=False)` answers."""
    import keras

    backend = keras.backend.backend()
    if backend != "torch":
        raise UnsupportedModelError(
            type(model).__name__,
            "",
            f"Keras runs on {backend}, and graphs are made from its torch backend",
            'Save it with model.save("model.keras"), and load and capture it in a process with KERAS_BACKEND=torch',
        )
    if not model.built:
        raise UnsupportedModelError(
            type(model).__name__, "", "it has no weights yet", "Call it on rows, or fit it, first"
        )
    names, arrange = _inputs(model)
    return Network(
        model, model, names, lambda tensors: model(arrange(tensors), training=False), written_out_loops
    )


@lowers(MODEL)
def lower_model(model: Any, X: Table, context: Context) -> Regression:
    """What the model answers outside training, exported by torch.onnx.export."""
    return lower_network(adapt_model(model), X, context)


@exports(MODEL)
def export_model(model: Any) -> dict[str, bytes]:
    """The structure as JSON, where the model can describe itself, and the weights as HDF5, as Keras writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        model.save_weights(path)
        entries = {"model.weights.h5": path.read_bytes()}
    try:
        entries["model.json"] = model.to_json().encode()
    except NotImplementedError:
        # A subclass that does not say how it is built: its code has to build it.
        return entries
    return entries


def _inputs(model: Any) -> tuple[list[str], Callable[[list[Any]], Any]]:
    """The names of its inputs, and how tensors in their order are given to it."""
    inputs = getattr(model, "inputs", None)
    if inputs is None:
        taken = inspect.signature(model.call).parameters.values()
        names = [
            parameter.name
            for parameter in taken
            if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        return names, lambda tensors: tensors[0] if len(tensors) == 1 else tensors
    names = [value.name for value in inputs]
    structure = getattr(model, "input", None)
    if isinstance(structure, dict):
        keys = [next(key for key, value in structure.items() if value is one) for one in inputs]
        return keys, lambda tensors: dict(zip(keys, tensors, strict=True))
    return names, lambda tensors: tensors[0] if len(tensors) == 1 else tensors
