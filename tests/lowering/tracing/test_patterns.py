"""Transformers written the way public code writes them: which trace, and why the others do not."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import StandardScaler

import afterfit

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(3)
HOUSES = pd.DataFrame(
    {
        "rooms": RNG.integers(2, 3000, 60).astype(float),
        "bedrooms": RNG.integers(1, 900, 60).astype(float),
        "households": RNG.integers(1, 500, 60).astype(float),
        "built": RNG.integers(1900, 2010, 60),
        "sold": RNG.integers(2011, 2020, 60),
        "hour": RNG.integers(0, 24, 60),
        "lat": RNG.uniform(40, 41, 60),
        "lon": RNG.uniform(-74, -73, 60),
        "lat2": RNG.uniform(40, 41, 60),
        "lon2": RNG.uniform(-74, -73, 60),
    }
)
DATED = HOUSES.assign(date=[f"2024-01-{day % 28 + 1:02d}" for day in range(60)], sex=["Male", "Female"] * 30)


class Stateless(TransformerMixin, BaseEstimator):
    def fit(self, X: Any, y: Any = None) -> Any:
        return self


class CombinedAttributes(Stateless):
    """Ratios of columns by position, appended with np.c_."""

    def __init__(self, more: bool = True) -> None:
        self.more = more

    def transform(self, X: Any) -> Any:
        per_household = X[:, 0] / X[:, 2]
        if self.more:
            return np.c_[X, per_household, X[:, 1] / X[:, 0]]
        return np.c_[X, per_household]


class ColumnSelector(Stateless):
    """Columns by name, as an array."""

    def transform(self, X: Any) -> Any:
        return X[["rooms", "lat"]].values


class WinsorizerOfFrames(TransformerMixin, BaseEstimator):
    """Quantiles of each column as bounds of DataFrame.clip."""

    def fit(self, X: Any, y: Any = None) -> Any:
        self.lower_, self.upper_ = X.quantile(0.05), X.quantile(0.95)
        return self

    def transform(self, X: Any) -> Any:
        return X.clip(self.lower_, self.upper_, axis=1)


class WinsorizerByColumn(TransformerMixin, BaseEstimator):
    """Bounds in a dict, columns clipped one by one and written back."""

    def fit(self, X: Any, y: Any = None) -> Any:
        self.bounds_ = {name: (X[name].quantile(0.1), X[name].quantile(0.9)) for name in X.columns}
        return self

    def transform(self, X: Any) -> Any:
        X = X.copy()
        for name, (low, high) in self.bounds_.items():
            if name in X.columns:
                X[name] = X[name].clip(lower=low, upper=high)
        return X


class HouseFeatures(Stateless):
    """New columns of sums, differences and flags."""

    def transform(self, X: Any, y: Any = None) -> Any:
        X = X.copy()
        X["total"] = X["rooms"] + X["bedrooms"]
        X["age"] = X["sold"] - X["built"]
        X["new"] = (X["age"] < 20).astype(int)
        X["log"] = np.log1p(X["rooms"])
        return X


class FeaturesFromArray(Stateless):
    """A DataFrame made of the array, columns added, and back."""

    def transform(self, X: Any) -> Any:
        frame = pd.DataFrame(X, columns=list(HOUSES))
        frame["ratio"] = frame["rooms"] / frame["households"]
        frame.loc[:, "share"] = frame["bedrooms"] / frame["rooms"]
        return frame.drop(["lat", "lon"], axis=1).to_numpy()


class CyclicHour(Stateless):
    """Sine and cosine of the hour."""

    def transform(self, X: Any) -> Any:
        X = X.copy()
        X["sin"] = np.sin(2 * np.pi * X["hour"] / 24)
        X["cos"] = np.cos(2 * np.pi * X["hour"] / 24)
        return X[["sin", "cos"]]


class Haversine(Stateless):
    """The distance between two points on the globe, in km."""

    def transform(self, X: Any) -> Any:
        assert isinstance(X, pd.DataFrame)
        lat, lon, lat2, lon2 = (np.radians(X[name]) for name in ("lat", "lon", "lat2", "lon2"))
        a = np.sin((lat2 - lat) / 2.0) ** 2 + np.cos(lat) * np.cos(lat2) * np.sin((lon2 - lon) / 2.0) ** 2
        return pd.DataFrame(6371 * 2 * np.arcsin(np.sqrt(a)))


class Interactions(Stateless):
    """Products of all pairs of columns."""

    def transform(self, X: Any) -> Any:
        pairs = combinations_with_replacement(range(X.shape[1]), 2)
        return np.hstack([(X[:, i] * X[:, j]).reshape(-1, 1) for i, j in pairs])


class DropColumns(TransformerMixin, BaseEstimator):
    """Columns that were found to be like others left out."""

    def fit(self, X: Any, y: Any = None) -> Any:
        correlation = pd.DataFrame(X).corr().abs().to_numpy()
        self.dropped_ = [i for i in range(len(correlation)) if (correlation[i, :i] > 0.9).any()]
        return self

    def transform(self, X: Any) -> Any:
        return pd.DataFrame(X).drop(columns=self.dropped_, errors="ignore").values


class ScaledCopy(TransformerMixin, BaseEstimator):
    """A scaler of scikit-learn held inside."""

    def fit(self, X: Any, y: Any = None) -> Any:
        self.scaler = StandardScaler().fit(X)
        return self

    def transform(self, X: Any) -> Any:
        return pd.DataFrame(self.scaler.transform(X), columns=X.columns)


class MinMaxOfBatch(Stateless):
    """Scaled by the extremes of the rows it is given."""

    def transform(self, X: Any) -> Any:
        return (X - X.min()) / (X.max() - X.min())


class Dates(Stateless):
    """The day of a date."""

    def transform(self, X: Any) -> Any:
        return pd.to_datetime(X["date"]).dt.day.to_frame()


class Heights(Stateless):
    """A function of every row."""

    def transform(self, X: Any) -> Any:
        return X.apply(lambda row: row["rooms"] if row["sex"] == "Male" else row["lat"], axis=1).to_frame()


class GroupMeans(Stateless):
    """Means of groups among the rows it is given."""

    def transform(self, X: Any) -> Any:
        return X.groupby("hour")["rooms"].transform("mean").to_frame()


TRACED = [
    (CombinedAttributes(), HOUSES.to_numpy()),
    (ColumnSelector(), HOUSES),
    (WinsorizerOfFrames(), HOUSES),
    (WinsorizerByColumn(), HOUSES),
    (HouseFeatures(), HOUSES),
    (FeaturesFromArray(), HOUSES.to_numpy()),
    (CyclicHour(), HOUSES),
    (Haversine(), HOUSES),
    (Interactions(), HOUSES.to_numpy()),
    (DropColumns(), HOUSES.to_numpy()),
    (ScaledCopy(), HOUSES),
]
REFUSED = [
    (MinMaxOfBatch(), HOUSES, "goes over rows"),
    (Dates(), DATED, "to_datetime|TypeError"),
    (Heights(), DATED, "DataFrame.apply"),
    (GroupMeans(), HOUSES, "DataFrame.groupby"),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("transformer", "rows"), TRACED, ids=[type(one).__name__ for one, _ in TRACED])
def test_these_trace(transformer: Any, rows: Any, tmp_path: Path):
    transformer.fit(rows)
    model = afterfit.save(transformer, tmp_path / "model.afit", X=rows)
    expected = np.asarray(transformer.transform(rows), dtype=np.float64)
    np.testing.assert_allclose(model.transform(rows), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("transformer", "rows", "reason"), REFUSED, ids=[type(one).__name__ for one, *_ in REFUSED]
)
def test_these_are_refused_with_the_reason(transformer: Any, rows: Any, reason: str, tmp_path: Path):
    transformer.fit(rows)
    with pytest.raises(afterfit.UnsupportedModelError, match=reason) as caught:
        afterfit.save(transformer, tmp_path / "model.afit", X=rows)
    assert "test_patterns.py" in str(caught.value)
