"""Checks for people who add lowerings: is a model captured exactly, seen from where no framework is?

>>> import numpy as np
>>> from sklearn.linear_model import Ridge
>>> from afterfit.testing import check_estimator
>>> X = np.random.default_rng(0).normal(size=(60, 3))
>>> report = check_estimator(Ridge(), X, X @ [1.0, -2.0, 0.5])
>>> report.estimator, report.outputs
('Ridge', ('prediction',))
>>> report.max_error <= 1e-9
True

Needs no test framework: what is wrong is an `AssertionError`, a refusal an `afterfit.UnsupportedModelError`.
"""

from afterfit.testing._check import CheckReport, check_estimator
from afterfit.testing._compare import RELATIVE, largest_error
from afterfit.testing._fresh import FRAMEWORKS, FreshProcess
from afterfit.testing._perturb import perturbed, recombined

__all__ = [
    "FRAMEWORKS",
    "RELATIVE",
    "CheckReport",
    "FreshProcess",
    "check_estimator",
    "largest_error",
    "perturbed",
    "recombined",
]
