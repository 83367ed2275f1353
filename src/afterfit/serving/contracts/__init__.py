"""The wire contracts, one file each, thin over the data plane."""

from afterfit.serving.contracts._native import NativeContract

__all__ = ["NativeContract"]
