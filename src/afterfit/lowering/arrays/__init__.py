"""Models that are only arrays: named parameters, and a function or a named architecture that computes with them."""

from afterfit.lowering.arrays._model import ArrayModel

__all__ = ["ArrayModel"]
