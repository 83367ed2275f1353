"""The wire contracts, one file each, thin over the data plane."""

from afterfit.serving.contracts._native import NativeContract
from afterfit.serving.contracts._operations import OperationsContract
from afterfit.serving.contracts._store import StoreContract

__all__ = ["NativeContract", "OperationsContract", "StoreContract"]
