"""Lowerings for scikit-learn. Importing this package registers them; none of its files imports scikit-learn
at module level, since a lowering reads the attributes of an object that is already there.
"""

from afterfit.lowering.sklearn import (
    _compose,
    _discretize,
    _distribution,
    _encode,
    _expand,
    _forests,
    _function,
    _gradient_boosting,
    _hist_gradient_boosting,
    _impute,
    _kernel_features,
    _linear,
    _project,
    _scale,
    _select,
    _target_encode,
    _trees,
)

__all__ = [
    "_compose",
    "_discretize",
    "_distribution",
    "_encode",
    "_expand",
    "_forests",
    "_function",
    "_gradient_boosting",
    "_hist_gradient_boosting",
    "_impute",
    "_kernel_features",
    "_linear",
    "_project",
    "_scale",
    "_select",
    "_target_encode",
    "_trees",
]
