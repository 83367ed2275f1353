"""Column types, inference, row decoding: what may go into a model, and every mistake at once."""

from __future__ import annotations

from afterfit.schema._decode import RowDecoder
from afterfit.schema._infer import InferredColumn, InferredTable, infer_table
from afterfit.schema._pack import TablePacker, pack_table
from afterfit.schema._tables import is_texts, texts_name
from afterfit.schema._terms import MAX_NGRAM, MAX_TERMS, TermReader
from afterfit.schema._types import (
    FLOAT_EXACT,
    MISSING_TEXT,
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

__all__ = [
    "FLOAT_EXACT",
    "MAX_NGRAM",
    "MAX_TERMS",
    "MISSING_TEXT",
    "UNICODE_VERSION",
    "Analyzer",
    "Bounds",
    "Categories",
    "Column",
    "Hashing",
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
    "TermReader",
    "TokenPattern",
    "UnusualValues",
    "decode_text",
    "encode_text",
    "infer_table",
    "is_texts",
    "pack_table",
    "texts_name",
]
