"""LitServe, as it comes, or with the batching it offers."""

from __future__ import annotations

import os
import sys

import joblib
import litserve
import pandas as pd


class Flights(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.pipeline = joblib.load(os.environ["FLIGHTS_JOBLIB"])

    def decode_request(self, request: dict) -> dict:
        return request

    def batch(self, inputs: list[dict]) -> pd.DataFrame:
        return pd.DataFrame(inputs)

    def predict(self, given: pd.DataFrame | dict) -> list[list[float]] | list[float]:
        if isinstance(given, dict):
            return self.pipeline.predict_proba(pd.DataFrame([given]))[0].tolist()
        return self.pipeline.predict_proba(given).tolist()

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        return output

    def encode_response(self, output: list[float]) -> list[float]:
        return output


if __name__ == "__main__":
    batching = {"max_batch_size": 64, "batch_timeout": 0.001} if os.environ["BATCHING"] == "1" else {}
    api = Flights(**batching)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        port=int(sys.argv[1]),
        host="127.0.0.1",
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
    )
