"""FORMAT.md and the code say the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from afterfit.bundle import FORMAT_VERSION, FileRecord, Framework, GoldenRow, Lineage, Manifest, Parity
from afterfit.bundle import _limits as limits
from afterfit.bundle._audit import Rule
from afterfit.bundle._operators import IR_VERSIONS, ONNX, ONNX_ML, OPERATORS, OPSETS
from afterfit.schema import Categories, Column, Output

if TYPE_CHECKING:
    import msgspec

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "FORMAT.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    match = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert match, title
    return match[1]


def test_every_rule_is_described_and_every_described_rule_exists() -> None:
    described = re.findall(r"^\| `([a-z0-9-]+)` \| .+ \|$", section("Rules"), re.MULTILINE)
    assert described == list(get_args(Rule))


def test_every_rule_is_used_and_every_used_rule_exists() -> None:
    used = set()
    for path in (ROOT / "src" / "afterfit" / "bundle").glob("*.py"):
        if path.name == "_audit.py":
            continue
        used |= {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and node.value in get_args(Rule)
        }
    assert used == set(get_args(Rule))


def test_limits() -> None:
    described = {
        name: int(value)
        for name, value in re.findall(r"^\| `([^`]+)` \| (\d+) \|", section("Limits"), re.MULTILINE)
    }
    constants = {
        name: value for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)
    }
    del constants["MIB"]
    assert described == {**constants, **limits.ENTRY_LIMITS}


def test_operators() -> None:
    for domain, name in ((ONNX, "ai.onnx"), (ONNX_ML, "ai.onnx.ml")):
        match = re.search(
            rf"^`{re.escape(name)}`:\n(.*?)\.\n\n", section("`model.onnx`"), re.MULTILINE | re.DOTALL
        )
        assert match, name
        assert re.findall(r"`(\w+)`", match[1]) == sorted(OPERATORS[domain])
    assert f"opset {OPSETS[ONNX][0]} to {OPSETS[ONNX][-1]}" in TEXT
    assert f"opset {OPSETS[ONNX_ML][0]} to {OPSETS[ONNX_ML][-1]}" in TEXT
    assert f"IR version {IR_VERSIONS[0]} to {IR_VERSIONS[-1]}" in TEXT


@pytest.mark.parametrize(
    "kind", [Manifest, FileRecord, Parity, Framework, Lineage, Column, Categories, Output, GoldenRow]
)
def test_every_field_is_described(kind: type[msgspec.Struct]) -> None:
    for field in kind.__struct_fields__:
        assert re.search(rf"[`\"]{field}[`\"]", TEXT), f"{kind.__name__}.{field}"


def test_the_version() -> None:
    assert TEXT.startswith(f"# The bundle format, version {FORMAT_VERSION}\n")


def test_anchors_lead_somewhere() -> None:
    titles = {
        re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([a-z-]+)\)", TEXT)) <= titles
