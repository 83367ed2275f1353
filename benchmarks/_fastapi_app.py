"""The service most people write: FastAPI, a pydantic row, the pickled pipeline, a DataFrame per request."""

from __future__ import annotations

import os

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel


class Row(BaseModel):
    sched_dep_time: int | None
    sched_arr_time: int | None
    dep_delay: float | None
    distance: int | None
    carrier: str | None
    origin: str | None
    dest: str | None


class Request(BaseModel):
    rows: list[Row]


app = FastAPI()
pipeline = joblib.load(os.environ["FLIGHTS_JOBLIB"])


@app.post("/predict")
def predict(request: Request) -> dict[str, list]:
    frame = pd.DataFrame([row.model_dump() for row in request.rows])
    probabilities = pipeline.predict_proba(frame)
    labels = pipeline.classes_[probabilities.argmax(axis=1)]
    return {"predictions": labels.tolist(), "probabilities": probabilities.tolist()}
