"""Freezes bundles, once for every format: `python tests/compat/freeze.py FORMAT` writes those that are not there.

What is frozen is never written again: later releases must go on reading these very bytes. `digests.json` has the
SHA-256 of each.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import AdditiveChi2Sampler
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    SplineTransformer,
    StandardScaler,
)

import afterfit

ROWS = 120
HERE = Path(__file__).parent


def freeze_format_1(folder: Path) -> None:
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
        freeze(folder / f"{name}.afit", model.fit(frame, label), frame, metrics={"rows": ROWS})
    number = frame[["age (years)", "income"]]
    boosted = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=5).fit(
        number, frame["income"].fillna(0)
    )
    freeze(folder / "boosted.afit", boosted, number)
    scaler = make_pipeline(SimpleImputer(), MinMaxScaler()).fit(number)
    freeze(folder / "scaler.afit", scaler, number)


def freeze_format_2(folder: Path) -> None:
    freeze_bounds(folder / "box_cox.afit")
    freeze_analyzers(folder / "text.afit")
    freeze_tensors(folder / "tensor.afit")


def freeze_bounds(path: Path) -> None:
    """Columns with a bound that is not included, with one that is, with two, and with none."""
    rng = np.random.default_rng(2026)
    frame = pd.DataFrame(
        {
            "income": np.where(rng.random(ROWS) < 0.1, np.nan, rng.gamma(4.0, 9_000.0, ROWS)),
            "visits": rng.poisson(3.0, ROWS) + 0.5,
            "share": rng.random(ROWS),
            "delay": rng.normal(size=ROWS),
        }
    )
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), PowerTransformer("box-cox")), ["income"]),
        (AdditiveChi2Sampler(), ["visits"]),
        (SplineTransformer(extrapolation="error", n_knots=4), ["share"]),
        (StandardScaler(), ["delay"]),
    )
    label = np.where(frame["visits"] + rng.normal(0, 1, ROWS) > 3, "leave", "stay")
    freeze(path, make_pipeline(columns, LogisticRegression()).fit(frame, label), frame)


def freeze_analyzers(path: Path) -> None:
    """A column cut into words, into characters and hashed, which is a category too."""
    rng = np.random.default_rng(2026)
    words = ["Größe", "größe", "boat", "it's", "日本", "naïve", "x", "42", "ΟΔΟΣ"]
    frame = pd.DataFrame({"title": [" ".join(rng.choice(words, rng.integers(0, 7))) for _ in range(ROWS)]})
    columns = make_column_transformer(
        (TfidfVectorizer(stop_words=["boat"], ngram_range=(1, 2), sublinear_tf=True), "title"),
        (CountVectorizer(analyzer="char_wb", ngram_range=(2, 3), strip_accents="unicode"), "title"),
        (HashingVectorizer(n_features=8, token_pattern=r"(?u)\b\w+\b"), "title"),
        (OneHotEncoder(handle_unknown="ignore", max_categories=4), ["title"]),
    )
    label = np.where(frame["title"].str.contains("boat"), "sea", "land")
    freeze(path, make_pipeline(columns, LogisticRegression()).fit(frame, label), frame)


def freeze_tensors(path: Path) -> None:
    """Tensor columns of fixed and of open sizes, of floats, integers and booleans, beside a single value."""
    import torch

    class Several(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(20, 4)
            self.recur = torch.nn.GRU(4, 3, batch_first=True)
            self.conv = torch.nn.Conv2d(1, 3, 3)

        def forward(self, tokens: Any, image: Any, flags: Any, age: Any) -> Any:
            states, _ = self.recur(self.embed(tokens))
            seen = self.conv(image).amax((2, 3)) + flags.sum(1, keepdim=True)
            return states[:, -1] + seen + age[:, None]

    torch.manual_seed(2026)
    rng = np.random.default_rng(2026)
    X = {
        "tokens": [rng.integers(0, 20, 1 + row % 5) for row in range(ROWS)],
        "image": rng.normal(size=(ROWS, 1, 5, 5)),
        "flags": rng.random((ROWS, 3)) < 0.5,
        "age": rng.normal(size=ROWS),
    }
    freeze(path, Several().eval(), X)


def freeze(path: Path, model: Any, X: Any, **options: Any) -> None:
    """Save a bundle that is not there yet, and note its digest."""
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    afterfit.save(model, path, X=X, **options)
    digests = json.loads((HERE / "digests.json").read_text(encoding="utf-8"))
    digests[f"{path.parent.name}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    text = json.dumps(dict(sorted(digests.items())), indent=2)
    (HERE / "digests.json").write_text(text + "\n", encoding="utf-8")


FREEZERS = {1: freeze_format_1, 2: freeze_format_2}

if __name__ == "__main__":
    chosen = int(sys.argv[1])
    FREEZERS[chosen](HERE / f"format{chosen}")
