"""Writing a bundle: the same content gives the same bytes, and there is either a whole bundle or none."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from afterfit.bundle._audit import broken
from afterfit.bundle._golden import encode_golden
from afterfit.bundle._json import encode_json
from afterfit.bundle._limits import MAX_NAME
from afterfit.bundle._manifest import FileRecord, Manifest
from afterfit.bundle._reader import MANIFEST, REQUIRED, is_allowed, read_file
from afterfit.bundle._versions import encode_schema, required_format
from afterfit.bundle._zip import write_entries
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterfit.bundle._bundle import GoldenRow
    from afterfit.schema import Schema


def write_bundle(
    path: str | os.PathLike[str],
    *,
    manifest: Manifest,
    schema: Schema,
    graph: bytes,
    golden: Sequence[GoldenRow],
    entries: Mapping[str, bytes],
) -> None:
    """Write a bundle to `path`, replacing a file that is there.

    `manifest.format` and `manifest.files` are ignored and filled in: the format is the lowest that holds the
    content. `entries` holds everything but the four entries that every
    bundle has. The bundle is written to a temporary file beside `path`, read back and audited as
    `read_bundle` does, and renamed only then; on failure nothing is left and what was there stays.
    Deterministic: the same content gives the same bytes under one version of zlib, and the same digests
    under any.

    Raises `ArgumentError` if an argument cannot be written at all, `AuditError` if the bundle would break a
    rule of the format, `OSError` if the disk refuses.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ArgumentError(f"{target.parent} is not a folder; create it before saving {target.name}")
    if target.is_dir():
        raise ArgumentError(f"{target} is a folder; give the name of a file")
    contents = _contents(manifest, schema, graph, golden, entries)
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x+b") as file:
            write_entries(file, contents)
            file.flush()
            os.fsync(file.fileno())
            _audit_own(file, contents[0][1])
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def _contents(
    manifest: Manifest,
    schema: Schema,
    graph: bytes,
    golden: Sequence[GoldenRow],
    entries: Mapping[str, bytes],
) -> list[tuple[str, bytes]]:
    """All entries in their order: the manifest first, the others by name."""
    for name in (MANIFEST, *REQUIRED):
        if name in entries:
            raise ArgumentError(f"{name} is written from its own argument; leave it out of entries")
    for name in entries:
        if not is_allowed(name):
            raise broken("entry-not-allowed", f"{name[:MAX_NAME]!a} is not an entry that bundles have")
    contents = {
        **entries,
        "model.onnx": graph,
        "schema.json": encode_schema(schema),
        "golden.jsonl": encode_golden(golden),
    }
    files = {
        name: FileRecord(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in sorted(contents.items())
    }
    filled = msgspec.structs.replace(manifest, format=required_format(schema), files=files)
    return [(MANIFEST, encode_json(filled)), *((name, contents[name]) for name in files)]


def _audit_own(file: BinaryIO, manifest: bytes) -> None:
    written = read_file(file)
    if written.digest != hashlib.sha256(manifest).hexdigest():
        raise OSError("the file read back differs from what was written")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
