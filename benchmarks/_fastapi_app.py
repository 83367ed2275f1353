"""The service most people write: FastAPI, a pydantic row, the pickled pipeline, a DataFrame per request.

`/frame` is what they write for many rows: no pydantic, the body read as one DataFrame, from JSON or Arrow.
"""

from __future__ import annotations

import os

import joblib
import pandas as pd
import pyarrow as pa
from fastapi import FastAPI
from fastapi import Request as Incoming
from fastapi.responses import Response
from pydantic import BaseModel

ARROW = "application/vnd.apache.arrow.stream"


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


@app.post("/frame", response_model=None)
async def predict_frame(request: Incoming) -> dict[str, list] | Response:
    if request.headers["content-type"] != ARROW:
        frame = pd.DataFrame((await request.json())["rows"])
        labels, probabilities = _answer(frame)
        return {"predictions": labels.tolist(), "probabilities": probabilities.tolist()}
    frame = pa.ipc.open_stream(await request.body()).read_pandas()
    labels, probabilities = _answer(frame)
    columns = {"prediction": labels}
    columns |= {f"probability_{label}": probabilities[:, at] for at, label in enumerate(pipeline.classes_)}
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW)


def _answer(frame: pd.DataFrame) -> tuple:
    probabilities = pipeline.predict_proba(frame)
    return pipeline.classes_[probabilities.argmax(axis=1)], probabilities
