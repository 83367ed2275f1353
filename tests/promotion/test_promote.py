"""Promotion runs every gate, and moves the alias only if all hold and nobody moved it meanwhile."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from afterfit.bundle import encode_json, read_bundle, write_bundle
from afterfit.errors import AliasMovedError, UnknownReferenceError
from afterfit.promotion import _promote, parse_gate, promote
from afterfit.store import Store


def variant(source: Path, target: Path, auc: float, **manifest: object) -> Path:
    bundle = read_bundle(source)
    write_bundle(
        target,
        manifest=msgspec.structs.replace(bundle.manifest, **manifest),
        schema=bundle.schema,
        graph=bundle.graph,
        golden=bundle.golden,
        entries={**bundle.entries, "training/metrics.json": encode_json({"auc": auc})},
    )
    return target


@pytest.fixture
def store(tmp_path, hand_bundle, wrong_bundle):
    """Versions 1 and 2 of `hand` are alike but for AUC 0.8 and 0.7; 3 answers wrongly; 4 is called otherwise."""
    with Store(tmp_path / "store", create=True) as opened:
        for number, auc in enumerate((0.8, 0.7)):
            opened.push(variant(hand_bundle, tmp_path / f"{number}.afit", auc), name="hand")
        opened.push(wrong_bundle, name="hand")
        opened.push(variant(hand_bundle, tmp_path / "other.afit", 0.9, name="other"), name="hand")
        yield opened


def test_the_move_carries_its_evidence(store):
    done = promote(store, "hand@1", "production", because="first", by="ann", gates=[parse_gate("auc >= 0.8")])
    assert done.ok
    assert [check.check for check in done.checks] == ["audit", "golden rows", "schema", "auc >= 0.8"]
    move = store.history("hand", "production")[0]
    assert move == done.move
    assert move.evidence["metrics"] == {"auc": 0.8}
    assert [check["holds"] for check in move.evidence["checks"]] == [True] * 4


@pytest.mark.parametrize(
    ("reference", "gates", "failing"),
    [
        ("hand@2", ["auc >= 0.8"], ["auc >= 0.8"]),
        ("hand@2", ["auc >= current", "auc >= 0"], ["auc >= current"]),
        ("hand@3", [], ["golden rows"]),
        ("hand@4", [], ["schema"]),
    ],
)
def test_a_gate_that_fails_moves_nothing(store, reference, gates, failing):
    promote(store, "hand@1", "production", because="first")
    done = promote(store, reference, "production", because="no", gates=[parse_gate(text) for text in gates])
    assert not done.ok
    assert done.move is None
    assert [check.check for check in done.checks if not check.holds] == failing
    assert store.resolve("hand@production").number == 1
    assert len(store.history("hand")) == 1


def test_a_damaged_bundle_fails_its_audit(store):
    path = store.fetch(store.resolve("hand@1"))
    path.write_bytes(path.read_bytes()[:-1])
    done = promote(store, "hand@1", "production", because="no")
    assert [(check.check, check.holds) for check in done.checks] == [("audit", False)]


def test_promoting_what_is_there_moves_nothing(store):
    promote(store, "hand@1", "production", because="first")
    done = promote(store, "hand@1", "production", because="again")
    assert (done.ok, done.move) == (True, None)
    assert len(store.history("hand")) == 1


def test_who_was_overtaken_is_told(store, monkeypatch):
    promote(store, "hand@1", "production", because="first")
    run = _promote.check_promotion

    def overtaken(*arguments):
        checks = run(*arguments)
        store.promote("hand", "production", 3, because="overtook", by="ben")
        return checks

    monkeypatch.setattr(_promote, "check_promotion", overtaken)
    with pytest.raises(AliasMovedError, match="by ben"):
        promote(store, "hand@2", "production", because="late")
    assert [move.because for move in store.history("hand")] == ["first", "overtook"]


def test_what_does_not_exist_is_not_promoted(store):
    with pytest.raises(UnknownReferenceError):
        promote(store, "hand@9", "production", because="no")
