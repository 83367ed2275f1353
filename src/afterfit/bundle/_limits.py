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
TRAINING_LIMIT = 64 * MIB
TRAINING_TOTAL = 256 * MIB
"""Bytes of the content of each entry below `training/`, and of all of them together."""

MAX_TOTAL = 2**32 - 1
"""Bytes of all contents together."""

MAX_RATIO = 200
RATIO_FREE = MIB
"""An entry's content is at most `MAX_RATIO` times its compressed size plus `RATIO_FREE` bytes."""

MAX_JSON_DEPTH = 64
"""Arrays and objects within each other."""

MAX_JSON_VALUES = 5_000_000
"""Commas and opening brackets of one document, outside strings; they bound the memory a parser takes."""

MAX_GRAPH_FIELDS = 5_000_000
"""Fields of all messages in `model.onnx`, a run of numbers counted once."""

MAX_GRAPH_DEPTH = 8
"""Graphs within the bodies of `If` and `Scan`, the outermost counted; also types within types."""

MAX_TENSOR_RANK = 8
"""Dimensions of an output."""

MAX_TREE_DEPTH = 1000
"""Nodes from a root of a `TreeEnsemble` to its furthest leaf; ONNX Runtime 1.31 crashes at 12,000."""

MAX_TREE_TARGETS = 100_000
"""`n_targets` of a `TreeEnsemble`, which decides how much memory each row takes."""
