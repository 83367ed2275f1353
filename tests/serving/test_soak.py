"""The soak of benchmarks/soak.py in its one-minute form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from afterfit.runtime import available_cores

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.sweep
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="memory and children are read from /proc")
@pytest.mark.skipif(available_cores() < 2, reason="one of two workers is killed while the other goes on")
def test_a_minute_of_everything_at_once():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "soak.py", "--minutes", "1", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["failures"] == []
    assert done.returncode == 0
    assert verdict["swaps"] >= 5
    assert verdict["kills"] >= 2
    assert verdict["report"]["abandoned"] > 0
    assert {"200", "400", "413", "422"} <= set(verdict["report"]["by_status"])
