"""Lowerings of PyTorch; torch is imported once a module is given."""

from afterfit.lowering.torch import _module

__all__ = ["_module"]
