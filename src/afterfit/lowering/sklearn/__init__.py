"""Lowerings for scikit-learn. Importing this package registers them; none of its files imports scikit-learn
at module level, since a lowering reads the attributes of an object that is already there.
"""

from afterfit.lowering.sklearn import (
    _compose,
    _discriminant_analysis,
    _dummy,
    _encode,
    _forests,
    _gaussian_process,
    _generalized_linear,
    _gradient_boosting,
    _hist_gradient_boosting,
    _impute,
    _isotonic,
    _kernel_ridge,
    _linear,
    _mixture,
    _naive_bayes,
    _neural_network,
    _scale,
    _svm,
    _trees,
)

__all__ = [
    "_compose",
    "_discriminant_analysis",
    "_dummy",
    "_encode",
    "_forests",
    "_gaussian_process",
    "_generalized_linear",
    "_gradient_boosting",
    "_hist_gradient_boosting",
    "_impute",
    "_isotonic",
    "_kernel_ridge",
    "_linear",
    "_mixture",
    "_naive_bayes",
    "_neural_network",
    "_scale",
    "_svm",
    "_trees",
]
