"""Column types, inference, row decoding: what may go into a model, and every mistake at once."""

from __future__ import annotations

from afterfit.schema._columns import ColumnData
from afterfit.schema._decode import RowDecoder
from afterfit.schema._infer import InferredColumn, InferredTable, infer_table
from afterfit.schema._pack import TablePacker, pack_table
from afterfit.schema._tables import is_arrays, open_table
from afterfit.schema._tensors import as_numpy, groups_by_size, is_ragged, rows_of, take_group
from afterfit.schema._types import (
    DTYPES,
    FLOAT_EXACT,
    MISSING_TEXT,
    TENSOR_DTYPES,
    TENSOR_INPUT,
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
    "DTYPES",
    "FLOAT_EXACT",
    "MISSING_TEXT",
    "TENSOR_DTYPES",
    "TENSOR_INPUT",
    "Bounds",
    "Categories",
    "Column",
    "ColumnData",
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
    "as_numpy",
    "decode_text",
    "encode_text",
    "groups_by_size",
    "infer_table",
    "is_arrays",
    "is_ragged",
    "open_table",
    "pack_table",
    "rows_of",
    "take_group",
]
