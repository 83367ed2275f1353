"""Which format a bundle needs, and what of it an older format does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from afterfit.bundle._audit import broken
from afterfit.bundle._json import encode_json

if TYPE_CHECKING:
    from afterfit.schema import Schema

COLUMN_FIELDS_SINCE = {"bounds": 2, "analyzers": 2, "shape": 2}
"""Fields of a column that format 1 does not have, with the first format that does. Absent where they are null."""


def required_format(schema: Schema) -> int:
    """The lowest format that holds `schema`."""
    newest = 1
    for column in schema.columns:
        for field, since in COLUMN_FIELDS_SINCE.items():
            if getattr(column, field) is not None:
                newest = max(newest, since)
    return newest


def encode_schema(schema: Schema) -> bytes:
    """The content of `schema.json`: fields that the lowest format does not have are left out."""
    plain: dict[str, Any] = msgspec.to_builtins(schema)
    for column in plain["columns"]:
        for field in COLUMN_FIELDS_SINCE:
            if column[field] is None:
                del column[field]
    return encode_json(plain)


def audit_version(schema: Schema, stated: int) -> None:
    """Refuse a schema with something that the stated format does not have."""
    needed = required_format(schema)
    if needed > stated:
        raise broken(
            "schema-invalid", f"it needs format {needed}, and the manifest states {stated}", "schema.json"
        )
