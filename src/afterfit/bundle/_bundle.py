"""A bundle in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterfit.bundle._manifest import Manifest
    from afterfit.schema import Schema


class GoldenRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row and what the model in memory answered to it.

    `input`: column name to value; None where it is missing. `output`: name of an output to its value for this
    row, a list (of lists) where the output has more than one dimension. Values of type `float` are floats,
    NaN and the infinities included.
    """

    input: dict[str, Any]
    output: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle holds, all of it audited.

    `graph` is `model.onnx`; `entries` are all other entries by name: `profile.json`, `environment.json` and
    those below `training/` and `native/`, of which only the digests were audited (and the syntax, where it
    is JSON outside `native/`). `digest` is the SHA-256 of `manifest.json`, which in turn pins every other
    byte.
    """

    manifest: Manifest
    schema: Schema
    graph: bytes
    golden: tuple[GoldenRow, ...]
    entries: Mapping[str, bytes]
    digest: str

    @property
    def version(self) -> str:
        """The first 12 hex digits of `digest`."""
        return self.digest[:12]
