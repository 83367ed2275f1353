"""Lowerings for scikit-learn. Importing this package registers them; none of its files imports scikit-learn
at module level, since a lowering reads the attributes of an object that is already there.
"""

from afterfit.lowering.sklearn import (
    _bagging,
    _calibrated,
    _compose,
    _delegating,
    _encode,
    _forests,
    _gradient_boosting,
    _hist_gradient_boosting,
    _impute,
    _linear,
    _multiclass,
    _multioutput,
    _scale,
    _target,
    _trees,
    _ufuncs,
    _voting,
)

__all__ = [
    "_bagging",
    "_calibrated",
    "_compose",
    "_delegating",
    "_encode",
    "_forests",
    "_gradient_boosting",
    "_hist_gradient_boosting",
    "_impute",
    "_linear",
    "_multiclass",
    "_multioutput",
    "_scale",
    "_target",
    "_trees",
    "_ufuncs",
    "_voting",
]
