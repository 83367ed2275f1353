"""The flights pipelines answer every held-out flight of July to December as the model in memory does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import afterfit
from afterfit.cli._demo_model import NUMBERS, TEXTS, Flights, load_flights

MODELS = {
    "logistic regression": LogisticRegression(max_iter=500),
    "histogram gradient boosting": HistGradientBoostingClassifier(random_state=0),
    "random forest of 100 trees": RandomForestClassifier(100, random_state=0, n_jobs=2),
}


@pytest.fixture(scope="module")
def flights() -> Flights:
    return load_flights()


@pytest.mark.sweep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", MODELS)
def test_every_held_out_flight_is_answered_as_in_memory(name: str, flights: Flights, tmp_path: Path):
    check(MODELS[name], flights, tmp_path)


def test_a_tenth_of_the_flights_is_answered_as_in_memory(flights: Flights, tmp_path: Path):
    some = Flights(
        flights.total,
        flights.train[::10].reset_index(drop=True),
        flights.late[::10],
        flights.held_out[::10].reset_index(drop=True),
        flights.late_then[::10],
        flights.arrived_then[::10],
    )
    check(LogisticRegression(max_iter=500), some, tmp_path)


def check(model: Any, flights: Flights, folder: Path) -> None:
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), TEXTS),
    )
    pipeline = make_pipeline(columns, model).fit(flights.train, flights.late)
    saved = afterfit.save(pipeline, folder / "flights.afit", X=flights.train, y=flights.late)
    assert (saved.predict(flights.held_out) == pipeline.predict(flights.held_out)).all()
    error = np.abs(saved.predict_proba(flights.held_out) - pipeline.predict_proba(flights.held_out)).max()
    assert error <= 1e-12
