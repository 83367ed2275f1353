"""From a fitted object to an ONNX graph: a table of lowerings, one file per family.

A lowering implements only the difference: given a fitted estimator and typed graph values it returns graph
values. Everything else is done once, in `afterfit.capture`. Registering one loads nothing; what builds graphs is loaded
when one of its names is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterfit._lazy import import_when_asked
from afterfit.lowering._registry import (
    adapts,
    exports,
    find_adapter,
    find_export,
    find_framework,
    find_lowering,
    framework_errors,
    inverts,
    lowers,
    public_name,
    raises,
    registered,
    transforms,
)

if TYPE_CHECKING:
    from afterfit.lowering._context import Analysis, Context, Learned, RawColumn, Step, Thresholds
    from afterfit.lowering._table import (
        TEXT,
        Block,
        Classification,
        Labels,
        Lowered,
        OneHot,
        Origin,
        Regression,
        Table,
        Terms,
        concatenate,
        constant,
        label_values,
        round_to_float32,
    )

__all__ = [
    "TEXT",
    "Analysis",
    "Block",
    "Classification",
    "Context",
    "Labels",
    "Learned",
    "Lowered",
    "OneHot",
    "Origin",
    "RawColumn",
    "Regression",
    "Step",
    "Table",
    "Terms",
    "Thresholds",
    "adapts",
    "concatenate",
    "constant",
    "exports",
    "find_adapter",
    "find_export",
    "find_framework",
    "find_lowering",
    "framework_errors",
    "inverts",
    "label_values",
    "lowers",
    "public_name",
    "raises",
    "registered",
    "round_to_float32",
    "transforms",
]

_HOMES = {
    **dict.fromkeys(("Analysis", "Context", "Learned", "RawColumn", "Step", "Thresholds"), "_context"),
    **dict.fromkeys(
        (
            "TEXT",
            "Block",
            "Classification",
            "Labels",
            "Lowered",
            "OneHot",
            "Origin",
            "Regression",
            "Table",
            "Terms",
            "concatenate",
            "constant",
            "label_values",
            "round_to_float32",
        ),
        "_table",
    ),
}
__getattr__ = import_when_asked(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
