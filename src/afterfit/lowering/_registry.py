"""The table of lowerings: from the public name of an estimator's class to the function that lowers it."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Lowered, Table


class Lowering(Protocol):
    """Given a fitted estimator and the table it receives, return what it answers, as graph values."""

    def __call__(self, estimator: Any, X: Table, context: Context, /) -> Lowered: ...


class Inversion(Protocol):
    """Given a fitted transformer and values float64 `[N, k]`, return `inverse_transform` of them."""

    def __call__(self, estimator: Any, values: Var, context: Context, /) -> Var: ...


_LOWERINGS: dict[str, Lowering] = {}
_TRANSFORMATIONS: dict[str, Lowering] = {}
_INVERSIONS: dict[str, Inversion] = {}
_REFUSALS: dict[str, tuple[str, str]] = {}
_ADAPTERS: dict[str, Callable[[Any], Any]] = {}
_EXPORTS: dict[str, Callable[[Any], dict[str, bytes]]] = {}
_ERRORS: set[str] = set()
_FAMILIES = {
    "afterfit": "afterfit.lowering.arrays._lower",
    "afterfit.lowering.onnx": "afterfit.lowering.onnx",
    "sklearn": "afterfit.lowering.sklearn",
    "xgboost": "afterfit.lowering.xgboost",
    "lightgbm": "afterfit.lowering.lightgbm",
    "catboost": "afterfit.lowering.catboost",
    "keras": "afterfit.lowering.keras",
    "torch": "afterfit.lowering.torch",
}
"""Root package of an estimator's class, or its whole package, to the package of ours that registers its lowerings. The
name comes from a live object in memory, never from a file."""

_SUBCLASSED: set[str] = set()
"""Classes whose subclasses are lowered as they are, since what a subclass answers is read from the object itself."""

_L = TypeVar("_L")
_T = TypeVar("_T")


def lowers(*names: str) -> Callable[[_L], _L]:
    """Register a lowering for the classes called `names`, such as `sklearn.preprocessing.StandardScaler`.

    The function takes the fitted estimator, the `Table` it receives and the `Context`, and returns a `Table`, a
    `Classification` or a `Regression` (all in `afterfit.lowering`): what `predict` answers, or `transform` for classes
    without `predict`. A name is `public_name` of the class: the modules up to the first private one, and the class.
    What it returns is proved when a model is saved, as for every other estimator.

    The same function may be registered again, as a notebook does; another one for the same name is a `ValueError`.
    Raises `ArgumentError` where a name is no such name. Loads nothing that builds graphs.
    """
    return _register(_LOWERINGS, names)


def transforms(*names: str) -> Callable[[_L], _L]:
    """Register the lowering of `transform` for classes that also have `predict`.

    It is used where they stand in the middle of a pipeline, or where else a transformer is expected; where they
    stand at its end, the one registered with `lowers` is.
    """
    return _register(_TRANSFORMATIONS, names)


def inverts(*names: str) -> Callable[[_L], _L]:
    """Register the lowering of `inverse_transform` for the classes called `names`."""
    return _register(_INVERSIONS, names)


def adapts(*names: str) -> Callable[[_L], _L]:
    """Register what stands in for models of the classes called `names` where their answers are asked for.

    For models whose own methods do not take rows: the function is given the model, and returns an object whose
    `predict`, `predict_proba` and so on take raw rows and answer as the model does.
    """
    return _register(_ADAPTERS, names)


def exports(*names: str) -> Callable[[_L], _L]:
    """Register what writes models of the classes called `names` in their framework's own data format.

    The function is given the model and returns the content of each file by its name, such as `model.ubj`; a
    bundle keeps them under `native/`, so that training can go on. No pickle, and equal bytes for the same model.
    """
    return _register(_EXPORTS, names)


def raises(*names: str) -> None:
    """Say that the classes called `names`, such as `catboost.CatBoostError`, are what a framework raises for rows
    that it does not take. Only needed for those that are no ValueError.
    """
    _ERRORS.update(names)


def framework_errors() -> tuple[type[Exception], ...]:
    """The classes named to `raises`, of the frameworks that are in use."""
    named = (name.rpartition(".") for name in sorted(_ERRORS))
    return tuple(getattr(sys.modules[module], cls) for module, _, cls in named if module in sys.modules)


def includes_subclasses(*names: str) -> None:
    """Say that what is registered for the classes called `names` holds for all their subclasses.

    For classes that people derive their models from, such as `torch.nn.Module`.
    """
    _SUBCLASSED.update(names)


def refuse(reason: str, way_out: str, *names: str) -> None:
    """Say why the classes called `names` have no lowering, and what people can do instead."""
    _register(_REFUSALS, names)((reason, way_out))


def _register(table: dict[str, Any], names: tuple[str, ...]) -> Callable[[_L], _L]:
    if not names or not all(isinstance(name, str) and "." in name for name in names):
        raise ArgumentError("name the classes it is for, such as @afterfit.lowers('package.Class')")

    def add(function: _L) -> _L:
        for name in names:
            if name in table and _identity(table[name]) != _identity(function):
                raise ValueError(f"{name} has a lowering already")
            table[name] = function
        return function

    return add


def _identity(function: Any) -> Any:
    """Where a function is written, which running a cell of a notebook again does not change."""
    return getattr(function, "__module__", None), getattr(function, "__qualname__", id(function))


def public_name(estimator: object) -> str:
    """The name people import a class by: module parts up to the first private one, then the class's name.

    >>> from fractions import Fraction
    >>> public_name(Fraction(1, 2))
    'fractions.Fraction'
    """
    return _name_class(type(estimator))


def _name_class(cls: type) -> str:
    parts = []
    for part in cls.__module__.split("."):
        if part.startswith("_"):
            break
        parts.append(part)
    return ".".join([*parts, cls.__qualname__])


def find_lowering(estimator: object) -> Lowering | None:
    """The lowering registered for exactly this class; subclasses may answer differently and have none.

    But for those of classes that were registered with their subclasses.
    """
    return _find(estimator, _LOWERINGS)


def find_transformation(estimator: object) -> Lowering | None:
    """The lowering of `transform` registered for exactly this class."""
    return _find(estimator, _TRANSFORMATIONS, _LOWERINGS)


def find_inversion(estimator: object) -> Inversion | None:
    """The lowering of `inverse_transform` registered for exactly this class."""
    return _find(estimator, _INVERSIONS)


def find_refusal(estimator: object) -> tuple[str, str] | None:
    """Why this class has no lowering and the way out, where that was said."""
    return _find(estimator, _REFUSALS)


def find_adapter(model: object) -> Callable[[Any], Any] | None:
    """What stands in for models of exactly this class where their answers are asked for."""
    return _find(model, _ADAPTERS)


def find_export(model: object) -> Callable[[Any], dict[str, bytes]] | None:
    """What writes models of exactly this class in their framework's own data format."""
    return _find(model, _EXPORTS)


def find_framework(model: object) -> str:
    """The package that the model's class is of, or is derived from where subclasses are lowered too."""
    names = _names_of(model)
    return names[-1].partition(".")[0]


def may_trace(estimator: object) -> bool:
    """Whether the class is a person's own, whose methods may be run with traced arrays in place of rows.

    A class of a known framework without a lowering is refused instead.
    """
    return find_framework(estimator) not in _FAMILIES and find_refusal(estimator) is None


def registered() -> tuple[str, ...]:
    """The public names of every class with a lowering, sorted."""
    for family in _FAMILIES:
        _import_family(family)
    return tuple(sorted(_LOWERINGS.keys() | _TRANSFORMATIONS.keys()))


def _find(estimator: object, *tables: Mapping[str, _T]) -> _T | None:
    """What the first of `tables` that knows the class holds for it."""
    for name in _names_of(estimator):
        for table in tables:
            if name in table:
                return table[name]
    return None


def _names_of(estimator: object) -> list[str]:
    """The name of its class, and of the nearest base class that was registered with its subclasses."""
    bases = [_name_class(base) for base in type(estimator).__mro__]
    for base in bases:
        _import_family(base)
    inherited = next((base for base in bases if base in _SUBCLASSED), bases[0])
    return list(dict.fromkeys([bases[0], inherited]))


def _import_family(name: str) -> None:
    known = (name, name.rpartition(".")[0], name.partition(".")[0])
    family = next((_FAMILIES[part] for part in known if part in _FAMILIES), None)
    if family is not None:
        importlib.import_module(family)
