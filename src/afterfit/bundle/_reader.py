"""Opening a bundle: parse, audit, construct, in that order at every layer.

The container is audited before anything is decompressed, the manifest before any other entry is, sizes and
digests before an entry is read, and the schema before the graph that has to agree with it. No entry is
executed, unpickled, or handed to another library here.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from afterfit.bundle._audit import broken
from afterfit.bundle._bundle import Bundle
from afterfit.bundle._golden import decode_golden
from afterfit.bundle._graph import audit_graph
from afterfit.bundle._json import audit_json, decode_json, split_lines
from afterfit.bundle._limits import ENTRY_LIMITS, MAX_ENTRY, MAX_NAME, TRAINING_LIMIT, TRAINING_TOTAL
from afterfit.bundle._manifest import FORMAT_VERSION, Manifest
from afterfit.bundle._schema import audit_schema
from afterfit.bundle._versions import audit_version
from afterfit.bundle._zip import list_entries, read_entry
from afterfit.errors import BundleFormatError
from afterfit.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterfit.bundle._zip import ZipEntry

MANIFEST = "manifest.json"
REQUIRED = ("model.onnx", "schema.json", "golden.jsonl")
OPTIONAL = ("profile.json", "environment.json")
TRAINING = re.compile(r"training/[A-Za-z0-9][A-Za-z0-9._-]*\.(json|jsonl|csv|png|svg)")
NATIVE = re.compile(r"native/[A-Za-z0-9][A-Za-z0-9._-]*\.(json|h5|safetensors|skops|txt|ubj)")

MAX_MODEL_NAME = 255
SHA256 = re.compile(r"[0-9a-f]{64}")
METHOD = re.compile(r"[a-z][a-z0-9_]{0,63}")


class _Version(msgspec.Struct):
    format: int


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Open the bundle at `path` and audit all of it.

    Law: what `write_bundle` wrote is read back equal. Runs nothing from the file. Raises
    `BundleFormatError` if it is not a bundle, or one of a format this release does not read, and
    `AuditError` if it breaks a rule of the format.
    """
    try:
        if not Path(path).is_file() and Path(path).exists():
            raise BundleFormatError(f"{os.fspath(path)} is not a file")
        with Path(path).open("rb") as file:
            return read_file(file)
    except OSError as error:
        raise BundleFormatError(f"{os.fspath(path)} cannot be read: {error.strerror or error}") from error


def read_file(file: BinaryIO) -> Bundle:
    """Read a bundle from an open file; see `read_bundle`."""
    entries = {entry.name: entry for entry in list_entries(file)}
    if MANIFEST not in entries:
        raise BundleFormatError("not a bundle: a zip archive without manifest.json")
    _audit_size(entries[MANIFEST])
    stated = read_entry(file, entries[MANIFEST])
    manifest = _read_manifest(stated)
    _audit_listing(entries, manifest)
    contents = {
        name: _read_listed(file, entry, manifest) for name, entry in entries.items() if name != MANIFEST
    }
    schema = decode_json(contents["schema.json"], Schema, entry="schema.json", rule="schema-invalid")
    audit_version(schema, manifest.format)
    audit_schema(schema)
    _audit_entry_points(manifest, schema)
    audit_graph(contents["model.onnx"], schema)
    golden = decode_golden(contents["golden.jsonl"], schema)
    others = {name: content for name, content in contents.items() if name not in REQUIRED}
    _audit_documents(others)
    return Bundle(
        manifest=manifest,
        schema=schema,
        graph=contents["model.onnx"],
        golden=golden,
        entries=others,
        digest=hashlib.sha256(stated).hexdigest(),
    )


def is_allowed(name: str) -> bool:
    """Whether an entry of a bundle may have this name."""
    if name == MANIFEST or name in REQUIRED or name in OPTIONAL:
        return True
    return len(name) <= MAX_NAME and bool(TRAINING.fullmatch(name) or NATIVE.fullmatch(name))


def _read_manifest(content: bytes) -> Manifest:
    version = decode_json(content, _Version, entry=MANIFEST, rule="manifest-invalid").format
    if version > FORMAT_VERSION:
        raise BundleFormatError(
            f"the bundle is of format {version}; this release reads formats up to {FORMAT_VERSION}. "
            "Open it with a newer afterfit: pip install --upgrade afterfit"
        )
    if version < 1:
        raise BundleFormatError(f"the bundle states format {version}, which does not exist. Save it again")
    manifest = decode_json(content, Manifest, entry=MANIFEST, rule="manifest-invalid")
    _audit_manifest(manifest)
    return manifest


def _audit_manifest(manifest: Manifest) -> None:
    name = manifest.name
    if not name.strip() or len(name) > MAX_MODEL_NAME or not name.isprintable():
        raise broken("manifest-invalid", f"the name {name[:MAX_MODEL_NAME]!a} is not a name", MANIFEST)
    for entry, record in manifest.files.items():
        if record.size < 0 or not SHA256.fullmatch(record.sha256):
            raise broken("manifest-invalid", f"the record of {entry[:100]!a} is malformed", MANIFEST)
    parity = manifest.parity
    counts = (parity.rows, parity.rows_given, parity.golden_rows, parity.ties, manifest.lineage.data_rows)
    if min(counts) < 0:
        raise broken("manifest-invalid", "a count of rows is negative", MANIFEST)
    if parity.labels_different or not 0 <= parity.max_error <= parity.tolerance:
        raise broken("parity-not-proved", "states that the graph does not answer as the model did", MANIFEST)


def _audit_listing(entries: Mapping[str, ZipEntry], manifest: Manifest) -> None:
    """Names, sizes and presence of all entries, before any of them is read."""
    for name, entry in entries.items():
        if not is_allowed(name):
            raise broken("entry-not-allowed", "is not an entry that bundles have", name)
        _audit_size(entry)
        if name != MANIFEST and name not in manifest.files:
            raise broken("entry-unlisted", "is not listed in manifest.json", name)
    training = sum(entry.size for name, entry in entries.items() if name.startswith("training/"))
    if training > TRAINING_TOTAL:
        message = f"{training:,} bytes below training/; the format allows {TRAINING_TOTAL:,}"
        raise broken("total-too-large", message)
    for name in (*REQUIRED, *manifest.files):
        if name not in entries or name == MANIFEST:
            raise broken("entry-missing", "is listed or required, yet not there", ascii(name[:100])[1:-1])
        if name in manifest.files and entries[name].size != manifest.files[name].size:
            raise broken("size-mismatch", "has another size than manifest.json states", name)


def _audit_size(entry: ZipEntry) -> None:
    limit = TRAINING_LIMIT if entry.name.startswith("training/") else ENTRY_LIMITS.get(entry.name, MAX_ENTRY)
    if entry.size > limit:
        raise broken("entry-too-large", f"{entry.size:,} bytes; the format allows {limit:,}", entry.name)


def _read_listed(file: BinaryIO, entry: ZipEntry, manifest: Manifest) -> bytes:
    content = read_entry(file, entry)
    if hashlib.sha256(content).hexdigest() != manifest.files[entry.name].sha256:
        raise broken("digest-mismatch", "its SHA-256 differs from the one in manifest.json", entry.name)
    return content


def _audit_entry_points(manifest: Manifest, schema: Schema) -> None:
    if not manifest.entry_points:
        raise broken("entry-point-unknown", "names no entry point", MANIFEST)
    for method, output in manifest.entry_points.items():
        if not METHOD.fullmatch(method) or schema.output(output) is None:
            shown = f"{method[:100]!a} -> {output[:100]!a}"
            raise broken(
                "entry-point-unknown", f"the entry point {shown} names no output of the schema", MANIFEST
            )


def _audit_documents(entries: Mapping[str, bytes]) -> None:
    """The syntax of JSON entries; what is below `native/` has its framework's own spelling."""
    for name, content in entries.items():
        if name.startswith("native/"):
            continue
        if name.endswith(".json"):
            audit_json(content, name)
        elif name.endswith(".jsonl"):
            for number, line in enumerate(split_lines(content, name), 1):
                audit_json(line, f"{name} line {number}")
