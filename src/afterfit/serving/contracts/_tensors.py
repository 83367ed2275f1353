"""Tensors of the Open Inference Protocol: their datatypes, as JSON and as bytes."""

from __future__ import annotations

import math
import struct
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import CellError, SchemaError
from afterfit.serving._exchange import HttpError
from afterfit.serving.contracts._rows import spelled

if TYPE_CHECKING:
    from afterfit.schema import Column

    Array = np.ndarray[Any, Any]

DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": object,
}
"""The datatypes read, each with the dtype of its elements; in bytes these are little-endian."""

DATATYPES = {"float": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES", "any": "BYTES"}
"""The datatype of each type of column or output."""

_NUMBERS = frozenset(name for name in DTYPES if name not in {"BOOL", "BYTES"})
ACCEPTED = {
    "float": _NUMBERS,
    "integer": _NUMBERS,
    "boolean": frozenset({"BOOL"}),
    "string": frozenset({"BYTES"}),
}
"""The datatypes that each type of column may come in."""

_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def describe(column: Column) -> dict[str, object]:
    """A column as the metadata of a model describe an input."""
    return {"name": column.name, "datatype": DATATYPES[column.type], "shape": [-1, 1]}


def wrong(name: str | None, expected: str, got: str, fix: str) -> SchemaError:
    """A mistake in a tensor as a whole."""
    return SchemaError([CellError(None, name, expected, got, fix)])


def read_json(name: str, datatype: str, size: int, data: object) -> Array | list[Any]:
    """The `size` elements of a tensor given as JSON, flat or nested, row by row.

    A list where some are null; these, and NaN among floats, are missing. Raises SchemaError.
    """
    if not isinstance(data, list):
        raise wrong(name, "a list of elements under data", "something else", "send data, or binary data")
    values = data
    for _ in range(2):
        if values and all(isinstance(value, list) for value in values):
            values = list(chain.from_iterable(values))
    if len(values) != size:
        raise wrong(name, f"{size:,} elements, as the shape says", f"{len(values):,}", "correct the shape")
    allowed, wanted = _json_types(datatype)
    if datatype.startswith("FP") and any(type(value) is str for value in values):
        values = [_SPELLED.get(value, value) if type(value) is str else value for value in values]
    if any(type(value) not in allowed for value in values):
        errors = [
            CellError(
                number, name, f"{wanted}, as the datatype {datatype} says", "something else", "correct it"
            )
            for number, value in enumerate(values)
            if type(value) not in allowed
        ]
        raise SchemaError(errors[:1000], truncated=len(errors) > 1000)
    if datatype in {"BOOL", "BYTES"}:
        return values
    return _as_numbers(name, datatype, values)


def _json_types(datatype: str) -> tuple[frozenset[type], str]:
    nothing = type(None)
    if datatype == "BOOL":
        return frozenset({bool, nothing}), "true or false"
    if datatype == "BYTES":
        return frozenset({str, nothing}), "a string"
    if datatype.startswith("FP"):
        return frozenset({int, float, nothing}), "a number"
    return frozenset({int, nothing}), "an integer"


def _as_numbers(name: str, datatype: str, values: list[Any]) -> Array | list[Any]:
    dtype = DTYPES[datatype]
    try:
        if datatype.startswith("FP"):
            floats = np.array(values, dtype=np.float64)
            with np.errstate(over="ignore"):
                rounded: Array = floats.astype(dtype)
            return rounded
        present = [value for value in values if value is not None]
        packed: Array = np.array(present, dtype=dtype)
    except OverflowError:
        limits = "a number" if datatype.startswith("FP") else f"integers that {datatype} holds"
        raise wrong(name, limits, "a number beyond that", "send it as FP64 or INT64") from None
    return packed if len(present) == len(values) else values


def read_binary(name: str, datatype: str, size: int, data: memoryview) -> Array | list[Any]:
    """The `size` elements of a tensor given as little-endian bytes. Raises SchemaError."""
    if datatype == "BYTES":
        return _read_texts(name, size, data)
    dtype = np.dtype(DTYPES[datatype]).newbyteorder("<")
    if len(data) != size * dtype.itemsize:
        expected = f"{size * dtype.itemsize:,} bytes, as shape and datatype say"
        raise wrong(name, expected, f"{len(data):,} bytes", "correct the shape, or send all bytes")
    elements: Array = np.frombuffer(data, np.uint8 if datatype == "BOOL" else dtype)
    if datatype == "BOOL":
        return elements.astype(np.bool_)
    return elements.astype(dtype.newbyteorder("="))


def _read_texts(name: str, size: int, data: memoryview) -> list[str]:
    """Elements of 4 bytes of length, little-endian, and as many bytes of UTF-8."""
    texts: list[str] = []
    errors: list[CellError] = []
    place = 0
    while place < len(data) and len(texts) <= size:
        (length,) = struct.unpack_from("<I", data, place) if place + 4 <= len(data) else (len(data),)
        place += 4
        if place + length > len(data):
            raise wrong(
                name,
                "elements of 4 bytes of length and their bytes",
                "an element that is cut off",
                "check the lengths",
            )
        try:
            texts.append(str(data[place : place + length], "utf-8"))
        except UnicodeDecodeError:
            errors.append(CellError(len(texts), name, "UTF-8 text", "other bytes", "encode it as UTF-8"))
            texts.append("")
        place += length
    if len(texts) != size or place < len(data):
        raise wrong(
            name, f"{size:,} elements, as the shape says", f"{len(texts):,} or more", "correct the shape"
        )
    if errors:
        raise SchemaError(errors[:1000], truncated=len(errors) > 1000)
    return texts


def write_json(array: Array) -> list[Any]:
    """The elements of a tensor as a flat list, row by row."""
    return spelled(array.ravel().tolist())  # type: ignore[no-any-return]  # a list, as the array is flat


def write_binary(array: Array, datatype: str) -> bytes:
    """The elements of a tensor as little-endian bytes, row by row.

    Raises HttpError for a missing text, which bytes cannot hold.
    """
    if datatype != "BYTES":
        dtype = np.dtype(DTYPES[datatype])
        return np.ascontiguousarray(array, dtype=dtype.newbyteorder("<")).tobytes()
    parts: list[bytes] = []
    for text in array.ravel().tolist():
        if text is None:
            raise HttpError(
                400, "missing-text", "A text of the answer is missing, which no bytes say; ask for JSON."
            )
        encoded = text.encode()
        parts += (struct.pack("<I", len(encoded)), encoded)
    return b"".join(parts)
