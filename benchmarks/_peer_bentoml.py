"""BentoML, as it comes, or with the batching it offers."""

from __future__ import annotations

import os

import bentoml
import joblib
import pandas as pd
from pydantic import BaseModel


class Row(BaseModel):
    sched_dep_time: int | None
    sched_arr_time: int | None
    dep_delay: float | None
    distance: int | None
    carrier: str | None
    origin: str | None
    dest: str | None


@bentoml.service(workers=1)
class Flights:
    def __init__(self) -> None:
        self.pipeline = joblib.load(os.environ["FLIGHTS_JOBLIB"])

    @bentoml.api(batchable=os.environ["BATCHING"] == "1")
    def predict(self, rows: list[Row]) -> list[list[float]]:
        frame = pd.DataFrame([row.model_dump() for row in rows])
        return self.pipeline.predict_proba(frame).tolist()
