"""Every estimator of scikit-learn is captured exactly or refused by name: none wrong, none crashing.

The ordinary suite takes every estimator as it comes; `pytest -m coverage` takes every named option and every switch of
theirs. Both hold `docs/coverage.md` to what they find; `python tests/conformance/coverage.py` writes it.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import sklearn

from afterfit import capture


def _load():
    spec = importlib.util.spec_from_file_location(
        "afterfit_coverage", Path(__file__).with_name("coverage.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


coverage = _load()
ESTIMATORS = dict(coverage.applicable())
WRITTEN_FOR = re.search(r"scikit-learn ([\w.]+):", coverage.DOCUMENT.read_text(encoding="utf-8"))[1]

LINES = coverage.DOCUMENT.read_text(encoding="utf-8").splitlines()
of_this_release = pytest.mark.skipif(
    sklearn.__version__ != WRITTEN_FOR, reason="docs/coverage.md is of another scikit-learn"
)


def line_of(name):
    return next(line for line in LINES if line.startswith(f"| `{name}` |"))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_exact_or_refused(name, tmp_path, fresh_process):
    """As it comes; and the document says so."""
    outcome = coverage.judge(name, ESTIMATORS[name], "", {}, tmp_path / "model.afit", fresh_process)
    assert outcome.status in ("exact", "refused"), outcome
    assert outcome.status == "exact" or outcome.detail
    assert (tmp_path / "model.afit").exists() == (outcome.status == "exact")
    if sklearn.__version__ == WRITTEN_FOR:
        assert line_of(name).startswith(coverage.row_start(outcome)), f"docs/coverage.md is stale: {outcome}"


@of_this_release
def test_the_document_names_every_estimator():
    # The settings that are refused come after, in a table of their own.
    table = coverage.DOCUMENT.read_text(encoding="utf-8").split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    others = [outcome.name for outcome in coverage.not_applicable()]
    assert sorted(listed) == sorted([*ESTIMATORS, *others])


def test_an_answer_that_differs_is_found(tmp_path, monkeypatch, fresh_process):
    """The comparison itself: a model that changes after it was saved is called wrong."""
    save = capture.save

    def save_and_change(model, *arguments, **options):
        saved = save(model, *arguments, **options)
        model.coef_ = model.coef_ * (1 + 1e-7)
        return saved

    monkeypatch.setattr(capture, "save", save_and_change)
    outcome = coverage.judge("Ridge", ESTIMATORS["Ridge"], "", {}, tmp_path / "model.afit", fresh_process)
    assert outcome.status == "wrong"
    assert "prediction of X" in outcome.detail


@pytest.mark.coverage
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_setting_is_exact_or_refused(name, tmp_path, fresh_process):
    """And the document's figure is right."""
    outcomes = coverage.outcomes_of(name, ESTIMATORS[name], fresh_process, tmp_path / "model.afit")
    assert [outcome for outcome in outcomes if outcome.status == "wrong"] == []
    if sklearn.__version__ == WRITTEN_FOR:
        row = coverage.Row.of(outcomes)
        assert line_of(name) == row.line(), "docs/coverage.md is stale"
        for refused in row.refused if row.default.status == "exact" else ():
            assert any(line.startswith(f"| `{name}` | `{refused.setting}` |") for line in LINES), refused
