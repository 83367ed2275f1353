"""The bundle format: one file that holds a model whole, and no code. FORMAT.md describes it."""

from afterfit.bundle._bundle import Bundle, GoldenRow
from afterfit.bundle._json import encode_json
from afterfit.bundle._manifest import FORMAT_VERSION, FileRecord, Framework, Lineage, Manifest, Parity, Task
from afterfit.bundle._operators import DOMAIN_ALIASES, ONNX, ONNX_ML, OPERATORS
from afterfit.bundle._outline import GraphOutline
from afterfit.bundle._reader import read_bundle
from afterfit.bundle._writer import sync_folder, write_bundle

__all__ = [
    "DOMAIN_ALIASES",
    "FORMAT_VERSION",
    "ONNX",
    "ONNX_ML",
    "OPERATORS",
    "Bundle",
    "FileRecord",
    "Framework",
    "GoldenRow",
    "GraphOutline",
    "Lineage",
    "Manifest",
    "Parity",
    "Task",
    "encode_json",
    "read_bundle",
    "sync_folder",
    "write_bundle",
]
