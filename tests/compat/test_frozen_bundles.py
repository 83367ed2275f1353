"""Bundles of every released format are read, and answer as they did, for ever."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import afterfit
from afterfit.bundle import FORMAT_VERSION

HERE = Path(__file__).parent
FROZEN = sorted(HERE.glob("format*/*.afit"))
DIGESTS = json.loads((HERE / "digests.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_frozen_bundle_is_read_and_answers_as_it_did(path: Path):
    model = afterfit.load(path)
    report = model.verify()
    assert report.ok, report.failures
    assert report.golden_rows > 10
    assert model.manifest.format == int(path.parent.name.removeprefix("format"))


def test_frozen_bundles_are_never_written_again():
    found = {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in FROZEN
    }
    assert found == DIGESTS


def test_every_format_up_to_the_present_one_is_frozen():
    assert {path.parent.name for path in FROZEN} == {f"format{n}" for n in range(1, FORMAT_VERSION + 1)}
