"""The rules of the format, by name. FORMAT.md explains each; a test compares the two lists."""

from __future__ import annotations

from typing import Literal

from afterfit.errors import AuditError

Rule = Literal[
    "bundle-too-large",
    "zip-structure",
    "zip-comment",
    "zip-trailing-data",
    "zip-prefixed-data",
    "zip-gap",
    "zip-overlap",
    "zip-header-mismatch",
    "zip-encrypted",
    "zip-flags",
    "zip-method",
    "zip-extra-field",
    "zip64",
    "entry-duplicate",
    "entry-case-collision",
    "entry-absolute-path",
    "entry-parent-path",
    "entry-backslash",
    "entry-name-character",
    "entry-directory",
    "entry-special-file",
    "entry-not-allowed",
    "entry-too-large",
    "entry-ratio",
    "entry-corrupt",
    "entry-unlisted",
    "entry-missing",
    "size-mismatch",
    "digest-mismatch",
    "too-many-entries",
    "total-too-large",
    "json-syntax",
    "json-nesting",
    "json-too-large",
    "json-duplicate-key",
    "manifest-invalid",
    "parity-not-proved",
    "entry-point-unknown",
    "schema-invalid",
    "golden-invalid",
    "protobuf-malformed",
    "protobuf-unknown-field",
    "protobuf-repeated-field",
    "graph-nesting",
    "graph-too-large",
    "graph-ir-version",
    "graph-opset",
    "graph-operator",
    "graph-subgraph",
    "graph-functions",
    "graph-external-data",
    "graph-tree",
    "graph-training",
    "graph-metadata",
    "graph-inputs",
    "graph-outputs",
]


def broken(rule: Rule, message: str, entry: str | None = None) -> AuditError:
    """The error for a bundle that breaks `rule`."""
    return AuditError(rule, message, entry=entry)
