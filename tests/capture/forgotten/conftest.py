"""What `save` finds, without the parts of it that come after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import afterfit
from afterfit.capture._forgotten._rows import NumberColumn, Rows

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 300


@pytest.fixture
def raw() -> pd.DataFrame:
    """Three columns of numbers as they are recorded."""
    rng = np.random.default_rng(0)
    income = rng.gamma(4, 9_000, ROWS).round()
    height = rng.normal(171, 9, ROWS).round(1)
    return pd.DataFrame({"income": income, "height": height, "age": rng.integers(18, 90, ROWS)})


@pytest.fixture
def label(raw: pd.DataFrame) -> np.ndarray:
    return np.where(raw["income"] + raw["age"] * 300 > 50_000, "yes", "no")


@pytest.fixture
def target(raw: pd.DataFrame) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 20, ROWS)
    return (400 + raw["income"] / 100 + raw["age"] * 2 + noise).round(1).to_numpy()


@pytest.fixture
def refusal(tmp_path: Path):
    """`refusal(model, X, ...)`: the error of a save that must be refused, and of which nothing may be left."""

    def refuse(model: Any, X: Any, **arguments: Any) -> afterfit.ForgottenPreprocessingError:
        with pytest.raises(afterfit.ForgottenPreprocessingError) as caught:
            afterfit.save(model, tmp_path / "m.afit", X=X, **arguments)
        assert list(tmp_path.iterdir()) == []
        return caught.value

    return refuse


@pytest.fixture
def saved(tmp_path: Path):
    """`saved(model, X, ...)`: the model of a save that must not be refused."""
    return lambda model, X, **arguments: afterfit.save(model, tmp_path / "m.afit", X=X, **arguments)


@pytest.fixture
def rows():
    """`rows(table)`: the columns of a table of numbers as the rules read them."""

    def read(table: Any) -> Rows:
        frame = pd.DataFrame(table)
        columns = [
            NumberColumn(
                i, str(name), frame[name].to_numpy(dtype=np.float64), boolean=frame[name].dtype == bool
            )
            for i, name in enumerate(frame)
        ]
        return Rows(tuple(columns), len(frame))

    return read
