"""torch.nn.Module, and every class that people derive from it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from afterfit.errors import UnsupportedModelError
from afterfit.lowering._registry import adapts, exports, includes_subclasses, lowers
from afterfit.lowering.torch._lower import lower_network
from afterfit.lowering.torch._network import Network

if TYPE_CHECKING:
    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Regression, Table

MODULE = "torch.nn.modules.module.Module"
includes_subclasses(MODULE)


@adapts(MODULE)
def adapt_module(module: Any) -> Network:
    """The module, asked with raw rows; refused while it is in training mode, where dropout answers by chance."""
    if any(part.training for part in module.modules()):
        raise UnsupportedModelError(
            type(module).__name__,
            "",
            "it is in training mode, in which dropout and batch normalisation answer otherwise",
            "Call model.eval() first",
        )
    return Network(module, module, _parameters(module), lambda tensors: module(*tensors))


@lowers(MODULE)
def lower_module(module: Any, X: Table, context: Context) -> Regression:
    """What forward answers, exported by torch.onnx.export."""
    return lower_network(adapt_module(module), X, context)


@exports(MODULE)
def export_module(module: Any) -> dict[str, bytes]:
    """The state of the module as safetensors; values that share memory are written each."""
    from safetensors.torch import save

    state = {name: value.detach().cpu().clone().contiguous() for name, value in module.state_dict().items()}
    return {"weights.safetensors": save(state)}


def _parameters(module: Any) -> list[str]:
    """The arguments of forward that have no default; one called x where it takes any number, as Sequential may."""
    taken = inspect.signature(module.forward).parameters.values()
    required = [
        parameter.name
        for parameter in taken
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    return required or ["x"]
