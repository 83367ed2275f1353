"""Column types, inference, row decoding: what may go into a model, and every mistake at once."""

from __future__ import annotations

from afterfit.schema._decode import RowDecoder
from afterfit.schema._infer import InferredColumn, InferredTable, infer_table
from afterfit.schema._pack import TablePacker, pack_table
from afterfit.schema._types import (
    FLOAT_EXACT,
    MISSING_TEXT,
    Bounds,
    Categories,
    Column,
    InputName,
    LogicalType,
    Output,
    Packed,
    Scalar,
    Schema,
    decode_text,
    encode_text,
)
from afterfit.schema._unusual import UnusualValues

__all__ = [
    "FLOAT_EXACT",
    "MISSING_TEXT",
    "Bounds",
    "Categories",
    "Column",
    "InferredColumn",
    "InferredTable",
    "InputName",
    "LogicalType",
    "Output",
    "Packed",
    "RowDecoder",
    "Scalar",
    "Schema",
    "TablePacker",
    "UnusualValues",
    "decode_text",
    "encode_text",
    "infer_table",
    "pack_table",
]
