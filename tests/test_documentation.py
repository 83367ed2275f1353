"""What the documents show runs, and what they list is what there is."""

from __future__ import annotations

import doctest
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from afterfit.lowering import _registry, registered

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "afterfit"
README = (ROOT / "README.md").read_text(encoding="utf-8")
WITH_EXAMPLES = [path for path in sorted(SOURCE.rglob("*.py")) if ">>>" in path.read_text(encoding="utf-8")]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks(README, "python"))))
def test_the_examples_of_the_readme_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks(README, "python")[number], "README.md", "exec"), {})
    assert (tmp_path / "wine.afit").is_file()


def test_the_examples_of_the_testing_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, "testing.md", "exec"), names)
    assert not list(tmp_path.iterdir())


WORKED = ["own-code.md", "arrays.md", "store.md", "runs.md"]
"""Pages under docs/ each of whose examples runs by itself."""


@pytest.mark.parametrize(
    ("page", "number"),
    [
        (page, number)
        for page in WORKED
        for number in range(len(blocks((ROOT / "docs" / page).read_text(encoding="utf-8"), "python")))
    ],
)
def test_the_examples_of_the_pages_run(
    page: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    registered()
    monkeypatch.setattr(_registry, "_LOWERINGS", dict(_registry._LOWERINGS))
    module = ModuleType("worked_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source = blocks((ROOT / "docs" / page).read_text(encoding="utf-8"), "python")[number]
    exec(compile(source, page, "exec"), vars(module))
    assert list(tmp_path.glob("*.afit"))


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_examples_of_docstrings_run(path: Path):
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_readme_lists_every_estimator_that_is_captured():
    listed = set(re.findall(r"`([A-Z]\w+)`", README.split("## What is captured")[1].split("## Measured")[0]))
    assert listed == {name.rpartition(".")[2] for name in registered()}


def test_every_command_of_the_readme_exists():
    from afterfit.cli import (
        _group,
        main,  # noqa: F401 - the entry point must import
    )

    named = set(re.findall(r"^afterfit (\w+)", "\n".join(blocks(README, "")), flags=re.MULTILINE))
    assert named - {"demo"} <= set(_group.COMMANDS)


@pytest.mark.parametrize(
    "document", ["README.md", "ARCHITECTURE.md", "FORMAT.md", "CONTRIBUTING.md", "SECURITY.md"]
)
def test_links_between_documents_lead_somewhere(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), f"{document} links to {target}"


def test_every_decision_says_how_to_confirm_it():
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert "**Decision.**" in text, path.name
        assert "**How to confirm.**" in text, path.name
