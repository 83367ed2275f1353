"""The wire contracts, one file each, thin over the data plane."""

from afterfit.serving.contracts._native import NativeContract
from afterfit.serving.contracts._operations import OperationsContract

__all__ = ["NativeContract", "OperationsContract"]
