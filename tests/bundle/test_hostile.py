"""Every rule of the format, each broken by a bundle that is otherwise in order."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from afterfit.bundle import FileRecord, encode_json, read_bundle
from afterfit.bundle import _reader as reader_module
from afterfit.bundle import _zip as zip_module
from afterfit.bundle._audit import Rule
from afterfit.bundle._golden import encode_golden
from afterfit.bundle._limits import (
    MAX_GRAPH_DEPTH,
    MAX_JSON_DEPTH,
    MAX_JSON_VALUES,
    MAX_RATIO,
    MAX_TREE_DEPTH,
    RATIO_FREE,
)
from afterfit.errors import AuditError, BundleError, BundleFormatError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """An entry of a zip file, every field of its headers at will."""

    name: bytes
    content: bytes
    method: int = 8
    flags: int = 0
    attributes: int = 0o100644 << 16
    extra: bytes = b""
    comment: bytes = b""
    local_name: bytes | None = None
    packed: bytes | None = None
    size: int | None = None
    compressed: int | None = None
    crc: int | None = None
    offset: int | None = None


def pack(entries: list[Entry], *, before: bytes = b"", gap: bytes = b"", comment: bytes = b"") -> bytes:
    """A zip file of `entries`, with other bytes before, between or after them."""
    body, directory = bytearray(before), bytearray()
    for entry in entries:
        packed = entry.packed
        if packed is None:
            deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
            packed = entry.content if entry.method != 8 else deflate.compress(entry.content) + deflate.flush()
        shared = (
            20,
            entry.flags,
            entry.method,
            0,
            33,
            zlib.crc32(entry.content) if entry.crc is None else entry.crc,
            len(packed) if entry.compressed is None else entry.compressed,
            len(entry.content) if entry.size is None else entry.size,
        )
        offset = len(body) if entry.offset is None else entry.offset
        local_name = entry.name if entry.local_name is None else entry.local_name
        body += struct.pack("<4s5H3L2H", b"PK\x03\x04", *shared, len(local_name), len(entry.extra))
        body += local_name + entry.extra + packed + gap
        directory += struct.pack(
            "<4s6H3L5H2L",
            b"PK\x01\x02",
            20,
            *shared,
            len(entry.name),
            len(entry.extra),
            len(entry.comment),
            0,
            0,
            entry.attributes,
            offset,
        )
        directory += entry.name + entry.extra + entry.comment
    count = len(entries)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), len(comment))
    return bytes(body + directory + end + comment)


class Craft:
    """A valid bundle in parts, to be changed one thing at a time and packed again."""

    def __init__(self, parts: dict[str, Any], files: dict[str, bytes]) -> None:
        self.parts = parts
        self.files = dict(files)

    def contents(self, **changed: bytes | None) -> dict[str, bytes]:
        """The entries but the manifest; `changed` by name, with `_` for `.` and None to leave out."""
        contents = dict(self.files)
        for name, content in changed.items():
            actual = next(known for known in contents if known.replace(".", "_") == name)
            if content is None:
                del contents[actual]
            else:
                contents[actual] = content
        return contents

    def manifest(self, contents: dict[str, bytes], **changed: Any) -> bytes:
        files = {
            name: FileRecord(size=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in contents.items()
        }
        return encode_json(msgspec.structs.replace(self.parts["manifest"], files=files, **changed))

    def entries(self, manifest: bytes | None = None, **changed: bytes | None) -> list[Entry]:
        contents = self.contents(**changed)
        stated = self.manifest(contents) if manifest is None else manifest
        named = {"manifest.json": stated, **contents}
        return [Entry(name.encode(), content) for name, content in named.items()]

    def bundle(self, manifest: bytes | None = None, **changed: bytes | None) -> bytes:
        return pack(self.entries(manifest, **changed))

    def stated(self, **changed: Any) -> bytes:
        """The bundle with fields of the manifest changed."""
        return self.bundle(self.manifest(self.files, **changed))

    def altered(self, name: str, **changed: Any) -> bytes:
        """The bundle with the headers of one entry changed."""
        return pack(
            [replace(entry, **changed) if entry.name == name.encode() else entry for entry in self.entries()]
        )

    def extra(self, name: bytes, content: bytes = b"{}", **headers: Any) -> bytes:
        return pack([*self.entries(), Entry(name, content, **headers)])

    def schema(self, change: Callable[[dict[str, Any]], None]) -> bytes:
        document = json.loads(self.files["schema.json"])
        change(document)
        return self.bundle(schema_json=encode_json(document))

    def bounded(self, bounds: dict[str, float]) -> bytes:
        """The bundle, of format 2, with bounds of the column of ages, which hold for its schema alone."""
        document = json.loads(self.files["schema.json"])
        change_column(bounds=bounds)(document)
        content = encode_json(document)
        stated = self.manifest(self.contents(schema_json=content), format=2)
        return self.bundle(stated, schema_json=content)

    def golden(self, change: Callable[[dict[str, Any]], None]) -> bytes:
        first, *others = self.files["golden.jsonl"].splitlines(keepends=True)
        row = json.loads(first)
        change(row)
        return self.bundle(golden_jsonl=encode_json(row) + b"\n" + b"".join(others))

    def graph(self, change: Callable[[onnx.ModelProto], None]) -> bytes:
        model = onnx.load_model_from_string(self.files["model.onnx"])
        change(model)
        return self.bundle(model_onnx=model.SerializeToString())

    def raw_graph(self, content: bytes) -> bytes:
        """The graph with bytes appended."""
        return self.bundle(model_onnx=self.files["model.onnx"] + content)


@pytest.fixture(scope="session")
def craft(parts: dict[str, Any], bundle_path: Path) -> Craft:
    bundle = read_bundle(bundle_path)
    files = {
        "golden.jsonl": encode_golden(bundle.golden),
        "model.onnx": bundle.graph,
        "schema.json": encode_json(bundle.schema),
        **bundle.entries,
    }
    return Craft(parts, files)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    head, size = number << 3 | 2, len(content)
    out = bytearray()
    for value in (head, size):
        left = value
        while left >= 128:
            out.append(left & 127 | 128)
            left >>= 7
        out.append(left)
    return bytes(out) + content


def add_node(operator: str, domain: str = "", **attributes: Any) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(
            helper.make_node(operator, ["number"], ["spare"], domain=domain, **attributes)
        )

    return change


def add_external(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("weights", TensorProto.DOUBLE, [1], [0.0])
    tensor.ClearField("double_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    model.graph.initializer.append(tensor)


def nest_graphs(levels: int) -> onnx.GraphProto:
    graph = helper.make_graph([], "innermost", [], [])
    for _ in range(levels):
        node = helper.make_node(
            "If", ["condition"], ["out"], then_branch=graph, else_branch=graph.__class__()
        )
        graph = helper.make_graph([node], "body", [], [])
    return graph


def nest(model: onnx.ModelProto) -> None:
    model.graph.node.extend(nest_graphs(MAX_GRAPH_DEPTH).node)


def nest_types(model: onnx.ModelProto) -> None:
    kind = helper.make_tensor_type_proto(TensorProto.DOUBLE, [1])
    for _ in range(MAX_GRAPH_DEPTH):
        kind = helper.make_sequence_type_proto(kind)
    model.graph.value_info.append(helper.make_value_info("deep", kind))


def add_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(
        helper.make_function("own", "f", ["x"], ["y"], [node], [helper.make_opsetid("", 21)])
    )


def set_width(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value += 1


def fix_rows(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def set_input_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def drop_input(model: onnx.ModelProto) -> None:
    del model.graph.input[0]


def default_input(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("number", TensorProto.DOUBLE, [1, 2], [0.0, 1.0]))


def set_output_type(model: onnx.ModelProto) -> None:
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT


def drop_output(model: onnx.ModelProto) -> None:
    del model.graph.output[0]


def set_output_rank(model: onnx.ModelProto) -> None:
    del model.graph.output[1].type.tensor_type.shape.dim[1]


def drop_output_shape(model: onnx.ModelProto) -> None:
    model.graph.output[1].type.tensor_type.ClearField("shape")


TREE: dict[str, Any] = {
    "nodes_featureids": [0, 1, 0],
    "nodes_truenodeids": [1, 0, 2],
    "nodes_falsenodeids": [2, 1, 3],
    "nodes_trueleafs": [0, 1, 1],
    "nodes_falseleafs": [0, 1, 1],
    "nodes_modes": np.array([0, 6, 6], np.uint8),
    "nodes_splits": np.zeros(3),
    "leaf_targetids": [0, 0, 0, 0],
    "leaf_weights": np.arange(4.0),
    "membership_values": np.array([1.0, 2.0, np.nan, 3.0, np.nan]),
    "tree_roots": [0],
    "n_targets": 1,
    "aggregate_function": 1,
    "post_transform": 0,
}


def chain(length: int) -> dict[str, Any]:
    """A tree of `length` nodes in a row."""
    last = length - 1
    return {
        "nodes_featureids": [0] * length,
        "nodes_truenodeids": [*range(1, length), 0],
        "nodes_falsenodeids": [0] * length,
        "nodes_trueleafs": [*[0] * last, 1],
        "nodes_falseleafs": [1] * length,
        "nodes_modes": np.zeros(length, np.uint8),
        "nodes_splits": np.zeros(length),
        "membership_values": None,
    }


def add_tree(**changed: Any) -> Callable[[onnx.ModelProto], None]:
    attributes = {name: value for name, value in (TREE | changed).items() if value is not None}
    tensors = {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in attributes.items()
    }
    return add_node("TreeEnsemble", "ai.onnx.ml", **tensors)


def set_opset(domain: str, version: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for opset in model.opset_import:
            if opset.domain == domain:
                opset.version = version
                return
        model.opset_import.append(helper.make_opsetid(domain, version))

    return change


def parity(craft: Craft, **changed: Any) -> Any:
    return msgspec.structs.replace(craft.parts["manifest"].parity, **changed)


def bomb(craft: Craft) -> bytes:
    return craft.extra(b"native/bomb.txt", bytes(2 * RATIO_FREE + MAX_RATIO * 10_000))


def understated(craft: Craft) -> bytes:
    """More bytes than the headers and the manifest state."""
    content = craft.files["training/curve.csv"]
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = deflate.compress(content + bytes(10_000)) + deflate.flush()
    return craft.altered("training/curve.csv", packed=packed)


def trailing(craft: Craft) -> bytes:
    """Compressed bytes that no reader reads."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = deflate.compress(craft.files["profile.json"]) + deflate.flush()
    return craft.altered("profile.json", packed=packed + b"hidden")


def other_digest(craft: Craft) -> bytes:
    manifest = json.loads(craft.manifest(craft.files))
    manifest["files"]["training/curve.csv"]["sha256"] = "0" * 64
    return craft.bundle(json.dumps(manifest).encode())


def other_size(craft: Craft) -> bytes:
    manifest = json.loads(craft.manifest(craft.files))
    manifest["files"]["training/curve.csv"]["size"] += 1
    return craft.bundle(json.dumps(manifest).encode())


def listed_only(craft: Craft) -> bytes:
    return craft.bundle(craft.manifest({**craft.files, "training/gone.json": b""}))


def overlapping(craft: Craft) -> bytes:
    """Two entries of one range of bytes."""
    entries = craft.entries()
    start = pack(entries).index(entries[-1].name) - 30
    return pack([*entries, Entry(b"native/twin.skops", b"", offset=start)])


def spaced(craft: Craft) -> bytes:
    return pack(craft.entries(), gap=b"hidden")


def zip64(craft: Craft) -> bytes:
    packed = craft.bundle()
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    return packed[:-22] + locator + packed[-22:]


def corrupt_directory(craft: Craft) -> bytes:
    packed = craft.bundle()
    at = packed.index(b"PK\x01\x02", packed.rindex(b"PK\x03\x04"))
    return packed[:at] + b"XX" + packed[at + 2 :]


def many_values(craft: Craft) -> bytes:
    entries = craft.entries(schema_json=b"[" + b"0," * MAX_JSON_VALUES + b"0]")
    return pack([replace(entry, method=0) for entry in entries])


def duplicate_key(craft: Craft) -> bytes:
    schema = craft.files["schema.json"]
    return craft.bundle(schema_json=schema[:-1] + b',"columns":[]}')


def change_column(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["columns"][0].update(changed)


def change_output(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["outputs"][1].update(changed)


DEEP = b"[" * (MAX_JSON_DEPTH + 1) + b"]" * (MAX_JSON_DEPTH + 1)

HOSTILE: list[tuple[Rule, str, Callable[[Craft], bytes]]] = [
    ("zip-structure", "directory", corrupt_directory),
    ("zip-structure", "several disks", lambda c: c.bundle()[:-18] + b"\x01" + c.bundle()[-17:]),
    ("zip-structure", "stored sizes", lambda c: c.altered("profile.json", method=0, size=1)),
    ("zip-comment", "archive", lambda c: pack(c.entries(), comment=b"hello")),
    ("zip-comment", "entry", lambda c: c.altered("profile.json", comment=b"hello")),
    ("zip-trailing-data", "", lambda c: c.bundle() + b"trailing"),
    ("zip-prefixed-data", "", lambda c: b"#!/bin/sh\n" + c.bundle()),
    ("zip-gap", "between", spaced),
    ("zip-gap", "before, offsets adjusted", lambda c: pack(c.entries(), before=b"MZ")),
    ("zip-overlap", "", overlapping),
    ("zip-header-mismatch", "name", lambda c: c.altered("profile.json", local_name=b"profile.jsom")),
    ("zip-encrypted", "", lambda c: c.altered("profile.json", flags=1)),
    ("zip-flags", "data descriptor", lambda c: c.altered("profile.json", flags=8)),
    ("zip-method", "bzip2", lambda c: c.altered("profile.json", method=12)),
    ("zip-extra-field", "", lambda c: c.altered("profile.json", extra=b"up\x04\x00abcd")),
    ("zip64", "locator", zip64),
    ("zip64", "sizes", lambda c: c.altered("profile.json", size=0xFFFFFFFF)),
    ("entry-duplicate", "", lambda c: c.extra(b"model.onnx", b"other")),
    ("entry-case-collision", "", lambda c: c.extra(b"Model.onnx", b"other")),
    ("entry-absolute-path", "unix", lambda c: c.extra(b"/etc/passwd")),
    ("entry-absolute-path", "drive", lambda c: c.extra(b"c:/windows")),
    ("entry-parent-path", "", lambda c: c.extra(b"training/../../x.json")),
    ("entry-backslash", "", lambda c: c.extra(b"training\\x.json")),
    ("entry-name-character", "NUL", lambda c: c.extra(b"training/x\x00.json")),
    ("entry-name-character", "decomposed", lambda c: c.extra("training/é.json".encode(), flags=0x800)),
    ("entry-name-character", "not UTF-8", lambda c: c.extra(b"training/\xff.json")),
    ("entry-name-character", "long", lambda c: c.extra(b"training/" + b"x" * 200 + b".json")),
    ("entry-name-character", "empty", lambda c: c.extra(b"")),
    ("entry-directory", "name", lambda c: c.extra(b"training/", b"")),
    ("entry-directory", "attribute", lambda c: c.altered("profile.json", attributes=0x10)),
    ("entry-special-file", "symlink", lambda c: c.altered("profile.json", attributes=0o120777 << 16)),
    ("entry-special-file", "device", lambda c: c.altered("profile.json", attributes=0o020777 << 16)),
    ("entry-not-allowed", "pickle", lambda c: c.extra(b"native/model.pkl")),
    ("entry-not-allowed", "folder", lambda c: c.extra(b"native/deeper/model.json")),
    ("entry-too-large", "", lambda c: c.extra(b"native/x.txt", size=2**31, compressed=2**31, method=0)),
    ("entry-too-large", "manifest", lambda c: pack([Entry(b"manifest.json", bytes(5 * 2**20), method=0)])),
    ("entry-ratio", "bomb", bomb),
    ("entry-corrupt", "deflate", lambda c: c.altered("profile.json", packed=b"\xff" * 20)),
    ("entry-corrupt", "CRC", lambda c: c.altered("profile.json", crc=1)),
    ("entry-corrupt", "more than stated", understated),
    ("entry-corrupt", "trailing bytes", trailing),
    ("entry-unlisted", "", lambda c: c.extra(b"training/more.json")),
    ("entry-missing", "required", lambda c: c.bundle(schema_json=None)),
    ("entry-missing", "listed", listed_only),
    ("size-mismatch", "", other_size),
    ("digest-mismatch", "", other_digest),
    ("too-many-entries", "", lambda c: pack([Entry(b"native/%d.txt" % i, b"") for i in range(1001)])),
    (
        "total-too-large",
        "",
        lambda c: pack(
            [
                Entry(b"native/%d.txt" % i, b"", method=0, size=2**31 - 1, compressed=2**31 - 1)
                for i in range(3)
            ]
        ),
    ),
    ("json-syntax", "schema", lambda c: c.bundle(schema_json=b'{"columns":')),
    ("json-syntax", "brackets", lambda c: c.bundle(schema_json=b"[}")),
    ("json-syntax", "NaN", lambda c: c.bundle(profile_json=b'{"mean":NaN}')),
    ("json-syntax", "not UTF-8", lambda c: c.bundle(schema_json=b'"\xff"')),
    ("json-syntax", "byte order mark", lambda c: c.bundle(schema_json=b"\xef\xbb\xbf{}")),
    ("json-syntax", "cut line", lambda c: c.bundle(golden_jsonl=c.files["golden.jsonl"][:-1])),
    ("json-syntax", "blank line", lambda c: c.bundle(golden_jsonl=c.files["golden.jsonl"] + b"\n")),
    ("json-nesting", "schema", lambda c: c.bundle(schema_json=DEEP)),
    ("json-nesting", "profile", lambda c: c.bundle(profile_json=b'{"a\\"[":' + DEEP + b"}")),
    (
        "json-nesting",
        "hundred thousand",
        lambda c: c.bundle(golden_jsonl=b"[" * 10**5 + b"]" * 10**5 + b"\n"),
    ),
    ("json-too-large", "", many_values),
    ("json-duplicate-key", "schema", duplicate_key),
    ("json-duplicate-key", "manifest", lambda c: c.bundle(c.manifest(c.files)[:-1] + b',"format":1}')),
    ("manifest-invalid", "type", lambda c: c.stated(task="clustering")),
    ("manifest-invalid", "unknown field", lambda c: c.bundle(c.manifest(c.files)[:-1] + b',"run":"x"}')),
    ("manifest-invalid", "name", lambda c: c.stated(name="a\nb")),
    ("parity-not-proved", "labels", lambda c: c.stated(parity=parity(c, labels_different=1))),
    ("parity-not-proved", "error", lambda c: c.stated(parity=parity(c, max_error=0.5))),
    ("entry-point-unknown", "output", lambda c: c.stated(entry_points={"predict": "nothing"})),
    ("entry-point-unknown", "method", lambda c: c.stated(entry_points={"__init__": "prediction"})),
    ("entry-point-unknown", "none", lambda c: c.stated(entry_points={})),
    ("schema-invalid", "position twice", lambda c: c.schema(change_column(position=1))),
    ("schema-invalid", "position absent", lambda c: c.schema(change_column(position=None))),
    ("schema-invalid", "type of input", lambda c: c.schema(change_column(type="string", range=None))),
    (
        "schema-invalid",
        "missing integer",
        lambda c: c.schema(lambda document: document["columns"][3].update(nullable=True)),
    ),
    ("schema-invalid", "name twice", lambda c: c.schema(change_column(name="city"))),
    ("schema-invalid", "range", lambda c: c.schema(change_column(range=[2.0, 1.0]))),
    ("schema-invalid", "example", lambda c: c.schema(change_column(example="x"))),
    ("schema-invalid", "bounds of format 2", lambda c: c.schema(change_column(bounds={"minimum": 0.0}))),
    ("schema-invalid", "unknown field", lambda c: c.schema(change_column(exec="x"))),
    ("schema-invalid", "output", lambda c: c.schema(change_output(name="other"))),
    ("schema-invalid", "shape", lambda c: c.schema(change_output(shape=[3, 2]))),
    ("schema-invalid", "classes", lambda c: c.schema(change_output(classes=["a", "b", "c"]))),
    ("json-syntax", "overflow", lambda c: c.bundle(schema_json=b'{"columns":1e999}')),
    ("golden-invalid", "column", lambda c: c.golden(lambda row: row["input"].update(other=1))),
    ("golden-invalid", "type", lambda c: c.golden(lambda row: row["input"].update(city=1))),
    ("golden-invalid", "missing", lambda c: c.golden(lambda row: row["input"].update(member=None))),
    ("golden-invalid", "output", lambda c: c.golden(lambda row: row["output"].pop("prediction"))),
    ("golden-invalid", "shape", lambda c: c.golden(lambda row: row["output"].update(probabilities=[1.0]))),
    ("golden-invalid", "bounds", lambda c: c.bounded({"exclusive_minimum": 100.0})),
    ("golden-invalid", "64 bits", lambda c: c.golden(lambda row: row["input"].update(account=2**63))),
    ("protobuf-malformed", "not protobuf", lambda c: c.bundle(model_onnx=b"\xff" * 20)),
    ("protobuf-malformed", "cut off", lambda c: c.bundle(model_onnx=c.files["model.onnx"][:-1])),
    ("protobuf-malformed", "long varint", lambda c: c.raw_graph(b"\x28" + b"\xff" * 10 + b"\x01")),
    ("protobuf-malformed", "wire type", lambda c: c.raw_graph(b"\x0a\x00")),
    ("protobuf-malformed", "label", lambda c: c.graph(add_node("Constant", value_string=b"\xff"))),
    ("protobuf-malformed", "name", lambda c: c.raw_graph(field(8, field(1, b"\xff")))),
    ("protobuf-unknown-field", "number", lambda c: c.raw_graph(field(99, b""))),
    ("protobuf-unknown-field", "group", lambda c: c.raw_graph(b"\x9b\x06")),
    ("protobuf-repeated-field", "second graph", lambda c: c.raw_graph(field(7, b""))),
    ("graph-nesting", "bodies", lambda c: c.graph(nest)),
    ("graph-nesting", "types", lambda c: c.graph(nest_types)),
    ("graph-ir-version", "new", lambda c: c.graph(lambda m: setattr(m, "ir_version", 11))),
    ("graph-ir-version", "old", lambda c: c.graph(lambda m: setattr(m, "ir_version", 3))),
    ("graph-opset", "new", lambda c: c.graph(set_opset("", 22))),
    ("graph-opset", "unknown domain", lambda c: c.graph(set_opset("com.microsoft", 1))),
    ("graph-opset", "twice", lambda c: c.raw_graph(field(8, field(1, b"ai.onnx") + b"\x10\x15"))),
    ("graph-opset", "absent", lambda c: c.graph(lambda m: m.ClearField("opset_import"))),
    ("graph-operator", "random", lambda c: c.graph(add_node("RandomNormalLike"))),
    ("graph-operator", "loop", lambda c: c.graph(add_node("Loop"))),
    ("graph-operator", "domain", lambda c: c.graph(add_node("Inverse", "com.microsoft"))),
    ("graph-operator", "unnamed", lambda c: c.graph(lambda m: m.graph.node.add())),
    (
        "graph-operator",
        "in a body",
        lambda c: c.graph(
            add_node(
                "If",
                then_branch=helper.make_graph([helper.make_node("RandomNormal", [], ["r"])], "body", [], []),
            )
        ),
    ),
    ("graph-subgraph", "", lambda c: c.graph(add_node("Identity", body=nest_graphs(0)))),
    ("graph-functions", "", lambda c: c.graph(add_function)),
    ("graph-external-data", "initializer", lambda c: c.graph(add_external)),
    (
        "graph-external-data",
        "attribute",
        lambda c: c.graph(add_node("Constant", value=TensorProto(data_location=1))),
    ),
    ("graph-training", "", lambda c: c.graph(lambda m: m.training_info.add())),
    ("graph-metadata", "", lambda c: c.graph(lambda m: m.metadata_props.add(key="ort_config", value="{}"))),
    ("graph-inputs", "width", lambda c: c.graph(set_width)),
    ("graph-inputs", "rows", lambda c: c.graph(fix_rows)),
    ("graph-inputs", "type", lambda c: c.graph(set_input_type)),
    ("graph-inputs", "absent", lambda c: c.graph(drop_input)),
    ("graph-inputs", "twice", lambda c: c.graph(lambda m: m.graph.input.append(m.graph.input[0]))),
    ("graph-inputs", "default", lambda c: c.graph(default_input)),
    ("graph-inputs", "no graph", lambda c: c.graph(lambda m: m.ClearField("graph"))),
    ("graph-outputs", "type", lambda c: c.graph(set_output_type)),
    ("graph-outputs", "absent", lambda c: c.graph(drop_output)),
    ("graph-outputs", "rank", lambda c: c.graph(set_output_rank)),
    ("graph-outputs", "no rank", lambda c: c.graph(drop_output_shape)),
    ("graph-tree", "depth", lambda c: c.graph(add_tree(**chain(MAX_TREE_DEPTH + 1)))),
    (
        "graph-tree",
        "circle",
        lambda c: c.graph(add_tree(nodes_truenodeids=[1, 0, 2], nodes_trueleafs=[0, 0, 1])),
    ),
    ("graph-tree", "two parents", lambda c: c.graph(add_tree(nodes_falsenodeids=[1, 1, 3]))),
    ("graph-tree", "child", lambda c: c.graph(add_tree(nodes_truenodeids=[3, 0, 2]))),
    ("graph-tree", "leaf", lambda c: c.graph(add_tree(nodes_truenodeids=[1, 0, 4]))),
    ("graph-tree", "negative", lambda c: c.graph(add_tree(nodes_truenodeids=[-1, 0, 2]))),
    ("graph-tree", "huge", lambda c: c.graph(add_tree(nodes_featureids=[2**40, 0, 0]))),
    ("graph-tree", "root", lambda c: c.graph(add_tree(tree_roots=[300]))),
    ("graph-tree", "no roots", lambda c: c.graph(add_tree(tree_roots=None))),
    ("graph-tree", "target", lambda c: c.graph(add_tree(leaf_targetids=[0, 0, 0, 1]))),
    ("graph-tree", "targets", lambda c: c.graph(add_tree(n_targets=10**9))),
    ("graph-tree", "mode", lambda c: c.graph(add_tree(nodes_modes=np.array([0, 6, 7], np.uint8)))),
    ("graph-tree", "modes of floats", lambda c: c.graph(add_tree(nodes_modes=np.array([0.0, 6.0, 6.0])))),
    ("graph-tree", "lengths", lambda c: c.graph(add_tree(nodes_splits=np.zeros(2)))),
    ("graph-tree", "weights", lambda c: c.graph(add_tree(leaf_weights=np.zeros(3)))),
    ("graph-tree", "tensor", lambda c: c.graph(add_tree(nodes_splits=np.zeros(3, np.int64)))),
    ("graph-tree", "empty set", lambda c: c.graph(add_tree(membership_values=np.array([np.nan, 1.0])))),
    ("graph-tree", "no sets", lambda c: c.graph(add_tree(membership_values=None))),
    ("graph-tree", "unknown", lambda c: c.graph(add_tree(nodes_extra=[1]))),
]
WITHOUT_CASE = {"bundle-too-large", "graph-too-large"}
"""Rules whose tests need more than bytes; they have their own below."""


@pytest.mark.parametrize(
    ("rule", "make"),
    [pytest.param(rule, make, id=f"{rule} {case}".strip()) for rule, case, make in HOSTILE],
)
def test_is_refused_by_its_own_rule(
    rule: Rule, make: Callable[[Craft], bytes], craft: Craft, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.afit"
    path.write_bytes(make(craft))
    with pytest.raises(AuditError) as caught:
        read_bundle(path)
    assert caught.value.rule == rule, caught.value
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 1000


def test_what_is_changed_is_valid_otherwise(craft: Craft, tmp_path: Path) -> None:
    path = tmp_path / "valid.afit"
    for content in (
        craft.bundle(),
        craft.graph(add_tree()),
        craft.graph(add_tree(**chain(MAX_TREE_DEPTH))),
        craft.graph(lambda model: model.graph.node.extend(nest_graphs(MAX_GRAPH_DEPTH - 1).node)),
        craft.bundle(profile_json=DEEP[1:-1]),
        craft.golden(lambda row: row["input"].update(note=[1, None])),
        craft.schema(change_column(range=["-Infinity", "Infinity"])),
    ):
        path.write_bytes(content)
        read_bundle(path)


def test_every_rule_has_a_hostile_bundle() -> None:
    assert {rule for rule, _, _ in HOSTILE} | WITHOUT_CASE == set(get_args(Rule))
    assert len(HOSTILE) > 100


def test_a_file_beyond_what_zip_addresses_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.afit"
    with path.open("wb") as file:
        file.truncate(2**32)
    with pytest.raises(AuditError, match="bundle-too-large"):
        read_bundle(path)


def test_a_graph_of_too_many_fields_is_refused(
    craft: Craft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.afit"
    path.write_bytes(craft.graph(lambda model: model.graph.node.extend(model.graph.node[:1] * 1000)))
    monkeypatch.setattr("afterfit.bundle._protobuf.MAX_GRAPH_FIELDS", 1000)
    with pytest.raises(AuditError, match="graph-too-large"):
        read_bundle(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: b"", "does not end as a zip archive"),
        (lambda c: b"\x80\x04\x95 a pickle", "does not end as a zip archive"),
        (lambda c: c.bundle()[:-10], "incomplete"),
        (lambda c: pack([Entry(b"word/document.xml", b"<w/>")]), "without manifest.json"),
        (lambda c: pack([]), "without manifest.json"),
        (lambda c: c.bundle(b'{"format":99,"shape":"unknown"}'), "format 99.*upgrade"),
        (lambda c: c.bundle(b'{"format":0}'), "format 0.*again"),
    ],
)
def test_what_is_no_bundle_says_what_to_do(
    make: Callable[[Craft], bytes], message: str, craft: Craft, tmp_path: Path
) -> None:
    path = tmp_path / "other.afit"
    path.write_bytes(make(craft))
    with pytest.raises(BundleFormatError, match=message):
        read_bundle(path)


def test_what_is_no_file_is_no_bundle(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.afit")
    for name in ("absent.afit", ".", "pipe.afit"):
        with pytest.raises(BundleFormatError):
            read_bundle(tmp_path / name)


STAGES = (
    (reader_module, "read_entry"),
    (reader_module, "decode_json"),
    (reader_module, "audit_schema"),
    (reader_module, "audit_graph"),
    (reader_module, "decode_golden"),
    (reader_module, "Bundle"),
)
LAST_STAGE: dict[str, list[str]] = {
    "zip-overlap": [],
    "entry-ratio": [],
    "entry-parent-path": [],
    "manifest-invalid": ["read_entry", "decode_json"],
    "entry-not-allowed": ["read_entry", "decode_json"],
    "entry-unlisted": ["read_entry", "decode_json"],
    "size-mismatch": ["read_entry", "decode_json"],
    "digest-mismatch": ["read_entry", "decode_json"],
    "schema-invalid": ["read_entry", "decode_json", "audit_schema"],
    "graph-operator": ["read_entry", "decode_json", "audit_schema", "audit_graph"],
    "golden-invalid": ["read_entry", "decode_json", "audit_schema", "audit_graph", "decode_golden"],
}


@pytest.mark.parametrize("rule", LAST_STAGE)
def test_nothing_is_done_before_what_precedes_it_was_audited(
    rule: str, craft: Craft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = next(make for known, _, make in HOSTILE if known == rule)
    path = tmp_path / "hostile.afit"
    path.write_bytes(make(craft))
    called: list[str] = []
    for module, name in STAGES:
        monkeypatch.setattr(module, name, _recorded(getattr(module, name), name, called))
    with pytest.raises(AuditError, match=rule):
        read_bundle(path)
    assert list(dict.fromkeys(called)) == LAST_STAGE[rule]
    if LAST_STAGE[rule] == ["read_entry", "decode_json"]:
        assert called.count("decode_json") <= 2
        assert rule == "digest-mismatch" or called.count("read_entry") == 1


def _recorded(function: Any, name: str, called: list[str]) -> Any:
    def record(*args: Any, **kwargs: Any) -> Any:
        called.append(name)
        return function(*args, **kwargs)

    return record


def test_no_more_is_decompressed_than_the_headers_state(
    craft: Craft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that inflates to 50 MB and states 100 bytes costs 101 bytes."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(bytes(50_000_000)) + deflate.flush()
    path = tmp_path / "liar.afit"
    path.write_bytes(craft.extra(b"native/x.txt", bytes(100), packed=packed))
    made: list[int] = []
    decompressobj = zlib.decompressobj

    class Inflate:
        def __init__(self, wbits: int) -> None:
            self._inflate = decompressobj(wbits)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inflate, name)

        def decompress(self, data: bytes, limit: int) -> bytes:
            content = self._inflate.decompress(data, limit)
            made.append(len(content))
            return content

    with path.open("rb") as file:
        entry = zip_module.list_entries(file)[-1]
        monkeypatch.setattr(zip_module.zlib, "decompressobj", Inflate)
        with pytest.raises(AuditError, match="entry-corrupt"):
            zip_module.read_entry(file, entry)
    assert made == [101]


def test_errors_are_bundle_errors() -> None:
    assert issubclass(AuditError, BundleError)
    assert issubclass(BundleFormatError, BundleError)
