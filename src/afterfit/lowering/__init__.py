"""From a fitted object to an ONNX graph: a table of lowerings, one file per family.

A lowering implements only the difference: given a fitted estimator and typed graph values it returns graph
values. Everything else is done once, in `afterfit.capture`.
"""

from afterfit.lowering._context import Context, Learned, RawColumn, Step, Thresholds
from afterfit.lowering._registry import (
    adapts,
    exports,
    find_adapter,
    find_export,
    find_framework,
    find_lowering,
    inverts,
    lowers,
    public_name,
    registered,
    transforms,
)
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
    concatenate,
    constant,
    label_values,
    round_to_float32,
)

__all__ = [
    "TEXT",
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
    "Thresholds",
    "adapts",
    "concatenate",
    "constant",
    "exports",
    "find_adapter",
    "find_export",
    "find_framework",
    "find_lowering",
    "inverts",
    "label_values",
    "lowers",
    "public_name",
    "registered",
    "round_to_float32",
    "transforms",
]
