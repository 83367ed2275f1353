"""Imports point down the layers of ARCHITECTURE.md, and siblings do not import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "afterfit"

LAYERS = [
    {"errors", "_version", "_home", "_lazy"},
    {"schema", "signing"},
    {"bundle"},
    {"lowering", "runtime", "store", "tracking"},
    {"capture", "monitoring", "doctor", "search", "emit", "promotion", "lineage", "_load"},
    {"serving", "web", "retrain", "testing", "loadtest"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
FRAMEWORKS = {
    "sklearn",
    "scipy",
    "torch",
    "keras",
    "xgboost",
    "lightgbm",
    "catboost",
    "spox",
    "onnx",
    "skl2onnx",
}
FORBIDDEN = {"serving": {"capture", "lowering"}}
ONLY_IN = {
    "spox": {"lowering", "capture"},
    "onnx": {"lowering", "capture"},
    "narwhals": {"schema"},
    "rich": {"cli", "capture"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "obstore": {"store"},
    "cryptography": {"signing"},
}


def imports_of(source: str, module: str) -> set[str]:
    """The absolute names of all modules that a module imports anywhere, in functions and for types too."""
    package = module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parts, base]) if base else ".".join(parts)
            found.add(base)
            if base == "afterfit":
                found |= {f"afterfit.{alias.name}" for alias in node.names}
    return found


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def violations(modules: dict[str, str]) -> list[str]:
    """Every import, in `modules` (name to source), that does not point down."""
    found = []
    for module, source in modules.items():
        room = room_of(module)
        for name in imports_of(source, module):
            top = name.partition(".")[0]
            if top in ONLY_IN and room not in ONLY_IN[top]:
                found.append(f"{module} imports {name}")
            if top in FRAMEWORKS - {"spox", "onnx"} and not module.startswith(
                ("afterfit.lowering.", "afterfit.cli._demo")
            ):
                found.append(f"{module} imports the framework {name}")
            target = room_of(name)
            if top != "afterfit" or room not in LEVEL or not target or target == room:
                continue
            if target in FORBIDDEN.get(room, set()):
                found.append(f"{module} ({room}) imports {name} ({target}), which it may never reach")
            if target in LEVEL and LEVEL[target] >= LEVEL[room]:
                found.append(f"{module} ({room}) imports {name} ({target}), which is not below it")
    return sorted(set(found))


def source_modules() -> dict[str, str]:
    modules = {}
    for path in SOURCE.rglob("*.py"):
        parts = ["afterfit", *path.relative_to(SOURCE).with_suffix("").parts]
        name = ".".join(parts[:-1]) + ".__init__" if parts[-1] == "__init__" else ".".join(parts)
        modules[name] = path.read_text(encoding="utf-8")
    return modules


def test_every_room_has_a_layer():
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= set(LEVEL)


def test_imports_point_down():
    assert violations(source_modules()) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("afterfit.schema._types", "from afterfit.bundle import Manifest"),
        ("afterfit.schema._types", "import afterfit.capture"),
        ("afterfit.runtime._model", "from afterfit.lowering import lowers"),
        ("afterfit.runtime._model", "def late():\n    from afterfit.lowering import lowers"),
        ("afterfit.serving._http", "from afterfit.capture import save"),
        ("afterfit.serving._http", "from afterfit import capture"),
        ("afterfit.serving._http", "from ..capture import save"),
        ("afterfit.serving._http", "import sklearn.pipeline"),
        ("afterfit.runtime._model", "import onnx"),
        ("afterfit.bundle._reader", "import spox"),
        ("afterfit.serving._http", "import rich.console"),
        ("afterfit.capture._save", "from afterfit.testing import check_estimator"),
        ("afterfit.runtime._model", "import afterfit.testing"),
        ("afterfit.testing._check", "import sklearn"),
        ("afterfit.runtime._model", "from afterfit.store import Store"),
        ("afterfit.store._store", "from afterfit.runtime import load"),
        ("afterfit.promotion._checks", "from afterfit.serving import serve"),
        ("afterfit.serving._sources", "import sqlalchemy"),
        ("afterfit.loadtest._deck", "from afterfit.serving import serve"),
        ("afterfit.loadtest._engine", "import rich.live"),
    ],
)
def test_an_illegal_import_is_found(module: str, line: str):
    modules = {**source_modules(), module: line}
    assert any(found.startswith(module) for found in violations(modules))


def test_serving_reaches_no_framework_even_indirectly():
    modules = source_modules()
    by_room: dict[str, set[str]] = {}
    for module, source in modules.items():
        by_room.setdefault(room_of(module), set()).update(
            room_of(name) for name in imports_of(source, module) if name.startswith("afterfit.")
        )
    reached, pending = set(), ["serving"]
    while pending:
        room = pending.pop()
        if room not in reached:
            reached.add(room)
            pending += by_room.get(room, set())
    assert not reached & {"lowering", "capture", "cli"}
