"""Every estimator of scikit-learn is captured exactly or refused by name: none wrong, none crashing.

The short form takes every seventh estimator as it comes; the long one (`pytest -m coverage`) takes all, with every
named option and switch, opens their bundles where scikit-learn cannot be imported, and holds `docs/coverage.md`
to what it found.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn


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

REPLAY = """
import sys
sys.modules["sklearn"] = None
import afterfit
for path in sys.argv[1:]:
    report = afterfit.load(path, threads=1).verify()
    assert report.ok, (path, report.failures)
assert not any(name.startswith("sklearn.") for name in sys.modules)
"""


def wrong(outcomes):
    return [outcome for outcome in outcomes if outcome.status == "wrong"]


@pytest.mark.parametrize("name", list(ESTIMATORS)[::7])
def test_exact_or_refused(name, tmp_path):
    outcome = coverage.judge(name, ESTIMATORS[name], "", {}, tmp_path / "model.afit")
    assert outcome.status in ("exact", "refused"), outcome
    assert outcome.status == "exact" or outcome.detail
    assert (tmp_path / "model.afit").exists() == (outcome.status == "exact")


@pytest.mark.skipif(sklearn.__version__ != WRITTEN_FOR, reason="docs/coverage.md is of another scikit-learn")
def test_the_document_names_every_estimator():
    listed = re.findall(r"^\| `(\w+)` \|", coverage.DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    others = [outcome.name for outcome in coverage.not_applicable()]
    assert sorted(listed) == sorted([*ESTIMATORS, *others])


def test_an_answer_that_differs_is_found(tmp_path, monkeypatch):
    """The comparison itself: a model that changes after it was saved is called wrong."""
    save = coverage.afterfit.save

    def save_and_change(model, *arguments, **options):
        saved = save(model, *arguments, **options)
        model.coef_ = model.coef_ * (1 + 1e-7)
        return saved

    monkeypatch.setattr(coverage.afterfit, "save", save_and_change)
    outcome = coverage.judge("Ridge", ESTIMATORS["Ridge"], "", {}, tmp_path / "model.afit")
    assert outcome.status == "wrong"
    assert "predict differs" in outcome.detail


@pytest.mark.coverage
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_setting_is_exact_or_refused(name, tmp_path):
    path = tmp_path / "model.afit"
    outcomes = [
        coverage.judge(name, ESTIMATORS[name], setting, chosen, path)
        for setting, chosen in coverage.settings(ESTIMATORS[name])
    ]
    assert wrong(outcomes) == []


@pytest.mark.coverage
@pytest.mark.timeout(1800)
def test_the_document_is_what_the_sweep_finds(tmp_path):
    outcomes = coverage.sweep(tmp_path)
    assert wrong(outcomes) == []
    saved = [str(path) for path in sorted(tmp_path.glob("*.afit"))]
    assert len(saved) == sum(outcome.status == "exact" for outcome in outcomes)
    subprocess.run([sys.executable, "-c", REPLAY, *saved], check=True)
    if sklearn.__version__ == WRITTEN_FOR:
        assert coverage.table(outcomes) == coverage.DOCUMENT.read_text(encoding="utf-8")
