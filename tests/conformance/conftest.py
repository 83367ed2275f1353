"""Saving fitted models and comparing them with what is in memory, through `afterfit.testing`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from afterfit.testing import FreshProcess, check_estimator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def fresh_process() -> Iterator[FreshProcess]:
    """A process without frameworks, shared by the checks of one worker."""
    with FreshProcess() as process:
        yield process


@pytest.fixture
def check_saved(tmp_path: Path, fresh_process: FreshProcess):
    """`check_saved(model, X, *rows)`: save the model with `X`, and compare it on all the tables of `rows` too."""

    def check(model: Any, X: Any, *rows: Any, **options: Any) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = check_estimator(
                model, X, rows=rows, path=tmp_path / "model.afit", process=fresh_process, **options
            )
        return report.max_error

    return check
