"""Freezes bundles of the present format, once for every released format: `python tests/compat/freeze.py`.

What is frozen is never written again: later releases must go on reading these very bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

import afterfit
from afterfit.bundle import FORMAT_VERSION

ROWS = 120


def main() -> None:
    folder = Path(__file__).parent / f"format{FORMAT_VERSION}"
    folder.mkdir()
    rng = np.random.default_rng(2026)
    frame = pd.DataFrame(
        {
            "age (years)": rng.integers(18, 90, ROWS),
            "income": np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(50_000, 9_000, ROWS)),
            "plan": rng.choice(["basic", "001", "größe", ""], ROWS),
            "member": pd.array(rng.random(ROWS) < 0.5, dtype="boolean"),
        }
    )
    frame.loc[3, "plan"] = None
    frame.loc[4, "member"] = pd.NA
    label = np.where(frame["age (years)"] + rng.normal(0, 20, ROWS) > 50, "leave", "stay")
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age (years)", "income", "member"]),
        (OneHotEncoder(handle_unknown="ignore"), ["plan"]),
    )
    models = {
        "logistic": make_pipeline(columns, LogisticRegression()),
        "forest": make_pipeline(columns, RandomForestClassifier(5, max_depth=4, random_state=0)),
    }
    for name, model in models.items():
        afterfit.save(model.fit(frame, label), folder / f"{name}.afit", X=frame, metrics={"rows": ROWS})
    number = frame[["age (years)", "income"]]
    boosted = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=5).fit(
        number, frame["income"].fillna(0)
    )
    afterfit.save(boosted, folder / "boosted.afit", X=number)
    scaler = make_pipeline(SimpleImputer(), MinMaxScaler()).fit(number)
    afterfit.save(scaler, folder / "scaler.afit", X=number)


if __name__ == "__main__":
    main()
