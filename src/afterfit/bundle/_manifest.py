"""What `manifest.json` says."""

from __future__ import annotations

from typing import Literal

import msgspec

FORMAT_VERSION = 2
"""The newest format this release writes. It reads every format up to this one, and writes the lowest that holds
what is written.

To change the format: raise the number; say in `_versions.py` what the new one adds, so that a bundle of an
older format that has it is refused; freeze bundles of the new format under `tests/compat`; describe the change
in FORMAT.md and a decision record.
"""

Task = Literal["classification", "regression", "transformation"]


class FileRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Size in bytes and SHA-256 (64 lower-case hex digits) of an entry's uncompressed content."""

    size: int
    sha256: str


class Parity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was proved when the bundle was saved.

    `rows`: rows of `X` replayed, of `rows_given`; `golden_rows`: golden rows replayed. `labels_different`
    is always 0: a bundle is not written otherwise. `ties`: rows where the two best classes of the model in
    memory lie within the tolerance of each other and the graph named the other one. `max_error`: the largest
    difference of any number, divided by `scale` of its output (the largest finite magnitude the model
    answered, at least 1). `tolerance`: what `max_error` had to stay within; 1e-12 for float64 models.
    """

    rows: int
    rows_given: int
    golden_rows: int
    labels_different: int
    ties: int
    max_error: float
    tolerance: float
    precision: Literal["float64", "float32"]


class Framework(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model was made with: `name` such as `scikit-learn`, and its `version`; `model` its class."""

    name: str
    version: str
    model: str


class Lineage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the bundle comes from. `data_sha256`: fingerprint of the packed rows of `X`."""

    data_sha256: str
    data_rows: int
    saved_by: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `manifest.json`; `files` lists every other entry of the bundle."""

    format: int
    name: str
    task: Task
    framework: Framework
    entry_points: dict[str, str]
    """Method name (`predict`, `predict_proba`, `transform`) to the name of the graph's output."""
    files: dict[str, FileRecord]
    lineage: Lineage
    parity: Parity
    description: str | None = None
