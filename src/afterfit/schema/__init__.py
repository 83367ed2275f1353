"""Column types, inference, row decoding: what may go into a model, and every mistake at once."""

from __future__ import annotations

from afterfit.schema._columns import ColumnData
from afterfit.schema._decode import RowDecoder
from afterfit.schema._fast import UnpackedRows, join_rows
from afterfit.schema._infer import InferredColumn, InferredTable, infer_table
from afterfit.schema._pack import TablePacker, pack_table
from afterfit.schema._tables import is_arrays, is_texts, open_table, texts_name
from afterfit.schema._tensors import as_numpy, groups_by_size, is_ragged, rows_of, take_group
from afterfit.schema._terms import MAX_NGRAM, MAX_TERMS, TermReader
from afterfit.schema._types import (
    DTYPES,
    FLOAT_EXACT,
    MISSING_TEXT,
    TENSOR_DTYPES,
    TENSOR_INPUT,
    Analyzer,
    Bounds,
    Categories,
    Column,
    Hashing,
    InputName,
    LogicalType,
    Output,
    Packed,
    Scalar,
    Schema,
    TokenPattern,
    decode_text,
    encode_text,
)
from afterfit.schema._unicode import VERSION as UNICODE_VERSION
from afterfit.schema._unusual import UnusualValues
from afterfit.schema._values import Rule

__all__ = [
    "DTYPES",
    "FLOAT_EXACT",
    "MAX_NGRAM",
    "MAX_TERMS",
    "MISSING_TEXT",
    "TENSOR_DTYPES",
    "TENSOR_INPUT",
    "UNICODE_VERSION",
    "Analyzer",
    "Bounds",
    "Categories",
    "Column",
    "ColumnData",
    "Hashing",
    "InferredColumn",
    "InferredTable",
    "InputName",
    "LogicalType",
    "Output",
    "Packed",
    "RowDecoder",
    "Rule",
    "Scalar",
    "Schema",
    "TablePacker",
    "TermReader",
    "TokenPattern",
    "UnpackedRows",
    "UnusualValues",
    "as_numpy",
    "decode_text",
    "encode_text",
    "groups_by_size",
    "infer_table",
    "is_arrays",
    "is_ragged",
    "is_texts",
    "join_rows",
    "open_table",
    "pack_table",
    "rows_of",
    "take_group",
    "texts_name",
]
