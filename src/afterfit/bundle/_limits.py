"""Every limit of the format; FORMAT.md states the same figures, and a test compares them."""

from __future__ import annotations

MIB = 2**20

MAX_BUNDLE = 2**32 - 1
"""Bytes of the file: what a zip without zip64 can address."""

MAX_ENTRIES = 1000
MAX_NAME = 128
"""Bytes of an entry's name."""

MAX_ENTRY = 2**31 - 1
"""Bytes of an entry's content where `ENTRY_LIMITS` says nothing else; also the most protobuf can hold."""

ENTRY_LIMITS = {
    "manifest.json": 4 * MIB,
    "schema.json": 64 * MIB,
    "golden.jsonl": 64 * MIB,
    "profile.json": 64 * MIB,
    "environment.json": 4 * MIB,
}
TRAINING_LIMIT = 256 * MIB
"""Bytes of the content of each entry below `training/`."""

MAX_TOTAL = 2**32 - 1
"""Bytes of all contents together."""

MAX_RATIO = 200
RATIO_FREE = MIB
"""An entry's content is at most `MAX_RATIO` times its compressed size plus `RATIO_FREE` bytes."""

MAX_JSON_DEPTH = 64
"""Arrays and objects within each other."""

MAX_GRAPH_DEPTH = 8
"""Graphs within the bodies of `If` and `Scan`, the outermost counted; also types within types."""

MAX_TENSOR_RANK = 8
"""Dimensions of an output."""
