"""Lowerings for LightGBM. Importing this package registers them and does not import LightGBM."""

from afterfit.lowering.lightgbm import _estimators

__all__ = ["_estimators"]
