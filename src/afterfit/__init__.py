"""Everything after `.fit()`: save a trained model whole, prove it, serve it.

>>> import afterfit
>>> "save" in dir(afterfit) and "load" in dir(afterfit)
True

Importing afterfit loads no framework; `save` and `load` import what they need when they are called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from afterfit._version import __version__
from afterfit.errors import (
    AfterfitError,
    ArgumentError,
    AuditError,
    BundleError,
    BundleFormatError,
    CaptureError,
    CellError,
    ForgottenPreprocessingError,
    ParityError,
    SchemaError,
    UnsupportedModelError,
)

if TYPE_CHECKING:
    from afterfit._load import load
    from afterfit._run import Run, run
    from afterfit.capture import adopt, save
    from afterfit.lowering import inverts, lowers, transforms
    from afterfit.lowering.arrays import ArrayModel
    from afterfit.runtime import Model, Report

__all__ = [
    "AfterfitError",
    "ArgumentError",
    "ArrayModel",
    "AuditError",
    "BundleError",
    "BundleFormatError",
    "CaptureError",
    "CellError",
    "ForgottenPreprocessingError",
    "Model",
    "ParityError",
    "Report",
    "Run",
    "SchemaError",
    "UnsupportedModelError",
    "__version__",
    "adopt",
    "inverts",
    "load",
    "lowers",
    "run",
    "save",
    "transforms",
]

_HOMES = {
    "ArrayModel": "afterfit.lowering.arrays",
    "Model": "afterfit.runtime",
    "Report": "afterfit.runtime",
    "Run": "afterfit._run",
    "adopt": "afterfit.capture",
    "inverts": "afterfit.lowering._registry",
    "load": "afterfit._load",
    "run": "afterfit._run",
    "lowers": "afterfit.lowering._registry",
    "save": "afterfit.capture",
    "transforms": "afterfit.lowering._registry",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'afterfit' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
