"""The save workflow, written once for every framework: schema, lower, golden rows, parity, write."""

from afterfit.capture._save import save

__all__ = ["save"]
