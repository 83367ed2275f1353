"""Everything after `.fit()`: save a trained model whole, prove it, serve it.

>>> import afterfit
>>> "save" in dir(afterfit) and "load" in dir(afterfit)
True

Importing afterfit loads no framework; `save` and `load` import what they need when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterfit._lazy import import_when_asked
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
    "ArrayModel": "lowering.arrays",
    "Model": "runtime",
    "Report": "runtime",
    "Run": "_run",
    "adopt": "capture",
    "inverts": "lowering._registry",
    "load": "_load",
    "run": "_run",
    "lowers": "lowering._registry",
    "save": "capture",
    "transforms": "lowering._registry",
}

__getattr__ = import_when_asked(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
