"""Which names a pickle may use, each for what: an allow-list, since lists of what is forbidden keep failing.

A name is allowed as one of three things. A *value* may stand in an attribute. A *class* may also have instances
made by its `__new__`, without its `__init__`. A *constructor* may be called: it is a function of ours that checks its
arguments before it calls the library's, or a type that runs nothing whatever it is given.
"""

from __future__ import annotations

import collections
import datetime as dt
import importlib
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._adopt import _pandas
from afterfit.capture._adopt._constructors import CONSTRUCTORS, guarded
from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a name stands for, whether it may be called, and whether instances of it may be made."""

    value: Any
    callable: bool = False
    newable: bool = False


_BUILTINS_CALLED = (set, frozenset, bytearray, bytes, complex, slice, range)
_BUILTIN_VALUES = (object, list, dict, tuple, int, float, bool, str)
_BUILTIN_MODULES = frozenset({"builtins", "__builtin__"})

_LIBRARY: dict[str, Allowed] = {
    "collections.OrderedDict": Allowed(collections.OrderedDict, callable=True, newable=True),
    "collections.UserList": Allowed(collections.UserList, newable=True),
    **{
        f"datetime.{kind.__name__}": Allowed(kind, callable=True)
        for kind in (dt.date, dt.datetime, dt.timedelta, dt.timezone)
    },
}

_HELPERS = frozenset(
    f"sklearn.{name}"
    for name in (
        "_loss._loss",
        "_loss.link",
        "_loss.loss",
        "cluster._birch",
        "cluster._bisect_k_means",
        "compose._column_transformer",
        "calibration",
        "ensemble._hist_gradient_boosting.predictor",
        "gaussian_process.kernels",
        "linear_model._sgd_fast",
        "metrics._dist_metrics",
        "metrics._scorer",
        "model_selection._split",
        "neighbors._ball_tree",
        "neighbors._kd_tree",
        "neural_network._stochastic_optimizers",
        "tree._tree",
        "utils._bunch",
    )
)
"""Modules of scikit-learn whose classes estimators keep instances of, beside estimators themselves."""

_FUNCTIONS = {
    "sklearn.cluster._kmeans": {"_kmeans_single_lloyd", "_kmeans_single_elkan"},
    "sklearn.feature_selection._mutual_info": {"mutual_info_classif", "mutual_info_regression"},
    "sklearn.feature_selection._univariate_selection": {
        "chi2",
        "f_classif",
        "f_oneway",
        "f_regression",
        "r_regression",
    },
    "numpy": {"amax", "amin", "max", "mean", "median", "min", "nan_to_num", "sum"},
    "scipy._lib.array_api_compat.numpy._aliases": {"asarray"},
}
"""Functions that estimators keep. They stand in attributes, and a pickle may not call them."""

_METRICS = frozenset(f"sklearn.metrics.{name}" for name in ("_classification", "_ranking", "_regression"))

_CLASSES = {
    "numpy": {"ndarray"},
    "numpy.ma": {"MaskedArray"},
    "numpy.ma.core": {"MaskedArray", "MaskedConstant"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._pcg64": {"PCG64", "PCG64DXSM"},
    "numpy.random._philox": {"Philox"},
    "numpy.random._sfc64": {"SFC64"},
    "numpy.random.bit_generator": {"SeedSequence"},
}
"""Classes that constructors are told to make; a pickle makes no instance of them itself."""

_MADE = {
    **{
        f"scipy.sparse.{module}{form}": {f"{form}_matrix", f"{form}_array"}
        for form in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
        for module in ("_", "")
    },
    "scipy.interpolate._bsplines": {"BSpline"},
}
"""Classes of SciPy that a pickle makes instances of."""

_RECORDS = {"sklearn.impute._iterative": {"_ImputerTriplet"}}
"""Named tuples of scikit-learn, which estimators keep instances of."""

_CALLED = frozenset({"sklearn._loss._loss", "sklearn.linear_model._sgd_fast"})
"""Modules of compiled losses, which are made from their parameters, as is `sklearn.tree._tree.Tree`."""

_NEVER = frozenset({"conftest", "datasets", "externals", "tests"})
"""Parts of scikit-learn that hold no model."""


class AllowList:
    """Looks names up; what it does not know is refused by name.

    `trusted`: modules whose names are all allowed, those below them included, because the caller said so.
    """

    def __init__(self, label: str, trusted: Sequence[str] = ()) -> None:
        self.label = label
        self.trusted = tuple(trusted)

    def find(self, module: str, name: str) -> Allowed:
        """What `module.name` stands for; raises `ArgumentError` where it is not allowed."""
        for look in (self._trusted, _builtin, _library, _numpy, _made, _sklearn):
            found = look(module, name)
            if found is not None:
                return found
        raise self.refusal(f"{module}.{name}")

    def refusal(self, name: str, why: str = "") -> ArgumentError:
        """The error that refuses a file for the sake of one of its names."""
        shown = name if len(name) <= 100 else name[:97] + "..."
        reason = why or (
            "which is outside the objects of scikit-learn, NumPy, SciPy and pandas that a model is made of"
        )
        root = name.partition(".")[0]
        way_out = "If it is meant to be a model, save it again where it was trained, with afterfit.save"
        if not why and root.isidentifier() and root not in _OURS_TO_JUDGE | sys.stdlib_module_names:
            way_out = f"If you know who made it and trust them, name the module: --trust {root}"
        return ArgumentError(
            f"{self.label} is refused: it asks for {shown}, {reason}. None of it was run. {way_out}"
        )

    def _trusted(self, module: str, name: str) -> Allowed | None:
        if not any(module == root or module.startswith(f"{root}.") for root in self.trusted):
            return None
        value: Any = _import(module, self.label)
        for part in name.split("."):
            value = getattr(value, part)
        return Allowed(value, callable=True, newable=True)


_OURS_TO_JUDGE = frozenset({"__builtin__", "copy_reg", "joblib", "numpy", "pandas", "scipy", "sklearn"})
"""Roots, with the standard library, of which a name is on the list or odd: nobody is invited to trust them whole."""


def _import(module: str, label: str) -> types.ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ArgumentError(f"{label} needs {module}, which cannot be imported here: {error}") from error


def _builtin(module: str, name: str) -> Allowed | None:
    if module not in _BUILTIN_MODULES:
        return None
    for kind in _BUILTINS_CALLED:
        if kind.__name__ == name:
            return Allowed(kind, callable=True)
    return next((Allowed(kind) for kind in _BUILTIN_VALUES if kind.__name__ == name), None)


def _library(module: str, name: str) -> Allowed | None:
    path = f"{module}.{name}"
    constructor = CONSTRUCTORS.get(path) or _pandas.CONSTRUCTORS.get(path)
    if constructor is not None:
        return Allowed(constructor, callable=True)
    if path in _pandas.MADE:
        return Allowed(_pandas.found(_pandas.MADE[path]), newable=True)
    if path in _pandas.NAMED:
        return Allowed(_pandas.found(_pandas.NAMED[path]))
    return _LIBRARY.get(path)


def _numpy(module: str, name: str) -> Allowed | None:
    if name in _CLASSES.get(module, ()) or name in _FUNCTIONS.get(module, ()):
        return Allowed(getattr(importlib.import_module(module), name))
    if module not in {"numpy", "scipy.special", "scipy.special._ufuncs"}:
        return None
    value = getattr(importlib.import_module(module), name, None)
    scalar = isinstance(value, type) and issubclass(value, np.generic)
    return Allowed(value) if scalar or isinstance(value, np.ufunc) else None


def _made(module: str, name: str) -> Allowed | None:
    if name not in _MADE.get(module, ()):
        return None
    public = "scipy.sparse" if module.startswith("scipy.sparse.") else module
    value = getattr(importlib.import_module(public), name, None)
    return None if value is None else Allowed(value, newable=True)


def _sklearn(module: str, name: str) -> Allowed | None:
    parts = module.split(".")
    if parts[0] != "sklearn" or not _NEVER.isdisjoint(parts) or not name.isidentifier():
        return None
    try:
        value = getattr(importlib.import_module(module), name, None)
    except ImportError:
        value = None
    if value is None:
        raise ArgumentError(
            f"the file asks for {module}.{name}, which the installed scikit-learn {_version()} does not have: "
            "it was made with another version. Adopt it with the version it was made with"
        )
    if module in _HELPERS and (name == "newObj" or name.startswith("__pyx_unpickle_")):
        return Allowed(guarded(module, name, value), callable=True)
    if isinstance(value, types.FunctionType):
        kept = name in _FUNCTIONS.get(module, ()) or (module in _METRICS and not name.startswith("_"))
        return Allowed(value) if kept and value.__module__ == module else None
    # A class is taken where it is defined, so that nothing is reached through a module that imports it.
    if not isinstance(value, type) or value.__module__ != module or value.__name__ != name:
        return None
    if module in _HELPERS or name in _RECORDS.get(module, ()) or is_estimator(value):
        called = module in _CALLED or (module, name) == ("sklearn.tree._tree", "Tree")
        return Allowed(value, callable=called, newable=True)
    return None


def is_estimator(kind: type) -> bool:
    """Whether a class is an estimator that scikit-learn defines; those state the version they were made with."""
    if not kind.__module__.startswith("sklearn."):
        return False
    base: type = importlib.import_module("sklearn.base").BaseEstimator
    return issubclass(kind, base)


def _version() -> str:
    return str(importlib.import_module("sklearn").__version__)
