"""One inference request of the Open Inference Protocol: reading it, and writing what answers it."""

from __future__ import annotations

import gzip
import math
import zlib
from time import perf_counter
from typing import TYPE_CHECKING, Any

from afterfit.errors import SchemaError
from afterfit.serving._exchange import JSON, NOSNIFF, HttpError, Response, printable
from afterfit.serving.contracts._rows import TableReader, answer_array, encode, parse_object
from afterfit.serving.contracts._tensors import (
    ACCEPTED,
    DATATYPES,
    DTYPES,
    read_binary,
    read_json,
    write_binary,
    write_json,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from afterfit.schema import Column, InputName, Output, Packed
    from afterfit.serving._batching import Batch, Ticket

    Values = np.ndarray[Any, Any] | list[Any]

PACKED: dict[str, InputName] = {"number": "number", "text": "text", "integer": "integer"}
"""The inputs that hold many columns, by the names of their tensors."""

HEADER_LENGTH = b"inference-header-content-length"
_BINARY = (b"content-type", b"application/octet-stream")

_MISTAKES = 1_000
"""Mistakes after which reading stops: many small tensors could each have one."""

_COMPRESSED = 1_400
"""Bytes: a shorter answer fits one packet as it is."""


class Inference:
    """A request, whose JSON is read and whose tensors are not yet. Raises HttpError where it is malformed."""

    def __init__(self, tables: TableReader, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        length = _header_length(headers, len(body))
        sent = parse_object(body[:length])
        self._tables = tables
        self._model = tables.served.model
        self._binary = memoryview(body)[length:]
        self._encoding = _accepted_encoding(headers)
        self._id = sent.get("id")
        if self._id is not None and not isinstance(self._id, str):
            raise _malformed("id is no string")
        self._inputs = _objects(sent, "inputs")
        if not self._inputs:
            raise _malformed("it has no inputs")
        parameters = _parameters(sent)
        self.deadline = _deadline(parameters)
        self._outputs = self._find_outputs(sent, parameters)

    def decode(self) -> Packed:
        """The rows. Raises SchemaError with every mistake that can be told."""
        columns: dict[str, Values] = {}
        taken = 0
        rows = -1
        errors: list[Any] = []
        for tensor in self._inputs:
            name, datatype, shape = _head(tensor)
            size = _parameters(tensor).get("binary_data_size")
            data = None
            if size is not None:
                if type(size) is not int or not 0 <= size <= len(self._binary) - taken:
                    raise _malformed("a binary_data_size is not the size of bytes that follow the JSON")
                data = self._binary[taken : taken + size]
                taken += size
            if rows not in {-1, shape[0]}:
                raise wrong(None, "tensors of one number of rows", "several", "correct the shapes")
            rows = shape[0]
            self._tables.check_size(rows, 0)
            try:
                self._read(columns, tensor, (name, datatype, shape), data)
            except SchemaError as error:
                errors += error.errors
                if len(errors) >= _MISTAKES:
                    raise SchemaError(errors[:_MISTAKES], truncated=True) from None
        if taken < len(self._binary):
            raise _malformed("more bytes follow the JSON than the inputs account for")
        if errors:
            raise SchemaError(errors)
        return self._tables.read_columns(columns)

    def _read(
        self,
        columns: dict[str, Values],
        tensor: dict[str, Any],
        head: tuple[str, str, list[int]],
        data: memoryview | None,
    ) -> None:
        """Add the columns that a tensor holds."""
        name, datatype, shape = head
        of_tensor = self._columns_of(name, shape)
        for column in of_tensor:
            if column.input is not None and datatype not in ACCEPTED[column.type]:
                expected = f"the datatype {DATATYPES[column.type]}"
                raise wrong(column.name, expected, datatype, "send that datatype")
            if column.name in columns:
                raise wrong(column.name, "each column once", "the column again", "send it once")
        # Sizes are checked before anything is made of them.
        size = math.prod(shape)
        if size > shape[0] * (self._tables.width + 1):
            raise wrong(name, "one column, or the columns of the model", "a wider tensor", "check its shape")
        if data is None:
            values = read_json(name, datatype, size, tensor.get("data"))
        else:
            values = read_binary(name, datatype, size, data)
        width = len(of_tensor)
        for place, column in enumerate(of_tensor):
            columns[column.name] = values if width == 1 else values[place::width]

    def _columns_of(self, name: str, shape: Sequence[int]) -> Sequence[Column]:
        """The column of this name, those of a packed input of this name, or all where it is the only tensor."""
        schema = self._model.schema
        width = math.prod(shape[1:])
        named = [column for column in schema.columns if column.name == name]
        if named and named[0].shape is not None:
            raise wrong(name, "no tensor for this column", "one", "send rows as JSON to the native contract")
        if named:
            if width != 1:
                raise wrong(name, "the shape [rows, 1] or [rows]", "another shape", "send one column")
            return named
        packed = schema.packed(PACKED[name]) if name in PACKED else ()
        if len(self._inputs) == 1 and len(shape) == 2 and width == self._tables.width and not packed:
            packed = schema.columns
        if not packed:
            raise wrong(
                name[:200],
                "the name of a column",
                "an unknown input",
                f"send columns by the names in the model's metadata, or one tensor of all {self._tables.width}",
            )
        if width != len(packed):
            raise wrong(
                None,
                f"a tensor of {len(packed)} columns",
                f"{width} columns",
                f"send {', '.join(repr(column.name) for column in packed[:20])}, in this order",
            )
        return packed

    def _find_outputs(
        self, sent: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> list[tuple[Output, bool]]:
        """The outputs asked for, each with whether it is wanted as bytes."""
        known = {output.name: output for output in self._model.schema.outputs}
        default = parameters.get("binary_data_output") is True
        if not sent.get("outputs"):
            return [(output, default) for output in known.values()]
        found: list[tuple[Output, bool]] = []
        for asked in _objects(sent, "outputs"):
            output = known.get(asked.get("name", "")) if isinstance(asked.get("name"), str) else None
            if output is None or any(output is other for other, _ in found):
                raise HttpError(
                    400,
                    "unknown-output",
                    f"An output is asked for that the model has not, or twice; it has {', '.join(known)}.",
                )
            found.append((output, _parameters(asked).get("binary_data", default) is True))
        return found

    def write(self, batch: Batch, ticket: Ticket) -> Response:
        """The answer, its tensors as JSON or as bytes, compressed if that was asked for and is worth it."""
        model = self._model
        outputs: list[dict[str, Any]] = []
        binary: list[bytes] = []
        for output, as_bytes in self._outputs:
            array = answer_array(output, batch, ticket)
            datatype = DATATYPES[output.type]
            tensor: dict[str, Any] = {
                "name": output.name,
                "shape": list(array.shape),
                "datatype": datatype,
            }
            if as_bytes:
                binary.append(write_binary(array, datatype))
                tensor["parameters"] = {"binary_data_size": len(binary[-1])}
            else:
                tensor["data"] = write_json(array)
            outputs.append(tensor)
        content: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
        if self._id is not None:
            content["id"] = printable(self._id)
        content |= {"parameters": {}, "outputs": outputs}
        if batch.unusual:
            warnings = self._tables.served.find_unusual(ticket.packed)
            if warnings:
                content["parameters"] = {"warnings": printable("\n".join(map(str, warnings)))}
        body = encode(content)
        head = [JSON, NOSNIFF]
        if binary:
            head = [_BINARY, NOSNIFF, (HEADER_LENGTH, b"%d" % len(body))]
            body = b"".join([body, *binary])
        return compressed(body, head, self._encoding)


def compressed(body: bytes, head: list[tuple[bytes, bytes]], encoding: bytes | None) -> Response:
    """An answer in the encoding that was asked for, unless it is short."""
    if encoding is None or len(body) < _COMPRESSED:
        return Response(body, headers=head)
    head = [*head, (b"content-encoding", encoding), (b"vary", b"accept-encoding")]
    packed = gzip.compress(body, 1, mtime=0) if encoding == b"gzip" else zlib.compress(body, 1)
    return Response(packed, headers=head)


def _accepted_encoding(headers: Mapping[bytes, bytes]) -> bytes | None:
    for part in headers.get(b"accept-encoding", b"").lower().split(b","):
        name, *parameters = part.split(b";")
        weights = [parameter.strip() for parameter in parameters]
        if name.strip() in {b"gzip", b"deflate"} and not any(
            weight.startswith(b"q=0") and not weight.strip(b"q=0.") for weight in weights
        ):
            return name.strip()
    return None


def _header_length(headers: Mapping[bytes, bytes], size: int) -> int:
    stated = headers.get(HEADER_LENGTH)
    if stated is None:
        return size
    if not stated.strip().isdigit() or int(stated[:19]) > size:
        raise HttpError(
            400,
            "invalid-header-length",
            "The header Inference-Header-Content-Length is not the number of bytes of JSON in the body.",
        )
    return int(stated[:19])


def _objects(sent: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = sent.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _malformed(f"{key} is no list of objects")
    return found


def _parameters(holder: Mapping[str, Any]) -> dict[str, Any]:
    found = holder.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _malformed("parameters is no object")
    return found


def _deadline(parameters: Mapping[str, Any]) -> float:
    """When the model's turn must have come, by the parameter `timeout` in microseconds; 0 is none."""
    timeout = parameters.get("timeout", 0)
    if type(timeout) is not int or timeout < 0:
        raise _malformed("the parameter timeout is no number of microseconds")
    return perf_counter() + min(timeout, 10**15) / 1e6 if timeout else math.inf


def _head(tensor: Mapping[str, Any]) -> tuple[str, str, list[int]]:
    """The name, datatype and shape of an input."""
    name, datatype, shape = tensor.get("name"), tensor.get("datatype"), tensor.get("shape")
    if not isinstance(name, str):
        raise _malformed("an input has no name")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise wrong(name[:200], f"a datatype: {', '.join(DTYPES)}", "another", "send one of these")
    good = isinstance(shape, list) and all(type(size) is int and 0 <= size < 2**40 for size in shape)
    if not isinstance(shape, list) or not good or not 1 <= len(shape) <= 2:
        raise wrong(name[:200], "a shape [rows] or [rows, columns]", "another", "correct the shape")
    return name, datatype, shape


def _malformed(why: str) -> HttpError:
    return HttpError(400, "malformed-inference", f"The inference request is malformed: {why}.")
