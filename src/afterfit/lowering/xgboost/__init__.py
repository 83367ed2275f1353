"""Lowerings for XGBoost. Importing this package registers them; XGBoost itself is imported only to ask a native
booster for its answers.
"""

from afterfit.lowering.xgboost import _booster, _estimators

__all__ = ["_booster", "_estimators"]
