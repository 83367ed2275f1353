"""Files of gradient boosting libraries: data in formats of their own, read by the library itself."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

from afterfit.capture._adopt._frameworks import import_framework
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path


def load_booster(path: Path, kind: str) -> Any:
    """The booster in a file; raises `ArgumentError` where its library cannot read it."""
    library = import_framework(kind, path.name)
    try:
        if kind == "xgboost":
            return _load_xgboost(library, path)
        if kind == "lightgbm":
            return library.Booster(model_file=str(path))
        return _load_catboost(library, path)
    except _refusals(library, kind) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ArgumentError(f"{kind} cannot read {path.name}: {first}") from error


def _load_xgboost(library: Any, path: Path) -> Any:
    booster = library.Booster(model_file=str(path))
    kind = json.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type")
    wrapper = {"classifier": "XGBClassifier", "regressor": "XGBRegressor", "ranker": "XGBRanker"}.get(kind)
    if wrapper is None:
        return booster
    # What was saved from a wrapper answers as the wrapper did: a classifier with labels.
    estimator = getattr(library, wrapper)()
    estimator.load_model(str(path))
    return estimator


def _load_catboost(library: Any, path: Path) -> Any:
    form = "json" if path.suffix.lower() == ".json" else "cbm"
    model = library.CatBoost().load_model(str(path), format=form)
    # Only what was trained on labels has parameters of classes.
    if "class_params" in model.get_metadata().keys():  # noqa: SIM118 - no dict
        return library.CatBoostClassifier().load_model(str(path), format=form)
    return model


def _refusals(library: Any, kind: str) -> tuple[type[Exception], ...]:
    names = {"xgboost": "core.XGBoostError", "lightgbm": "basic.LightGBMError", "catboost": "CatBoostError"}
    module, _, name = names[kind].rpartition(".")
    home = importlib.import_module(f"{library.__name__}.{module}") if module else library
    return (getattr(home, name), ValueError, UnicodeDecodeError)
