"""Lowerings for CatBoost. Importing this package registers them and does not import CatBoost."""

from afterfit.lowering.catboost import _estimators

__all__ = ["_estimators"]
