"""The functions that a pickle may call, each behind a check of its arguments.

They stand in for the library's own, which trust what they are given: some would import a module by name, call one of
their arguments, or take bytes for pointers.
"""

from __future__ import annotations

import codecs
import collections
import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

BIT_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})


def refuse(what: str) -> ArgumentError:
    """The error for arguments that no pickle of a model has."""
    return ArgumentError(f"the file is refused: {what}, as no saved model does. None of it was run")


def array(kind: Any, shape: Any, code: Any) -> Any:
    """An empty array, whose state follows."""
    if kind is not np.ndarray or shape != (0,) or code not in (b"b", "b"):
        raise refuse("it makes an array of an odd kind")
    return np.ndarray((0,), np.int8)


def array_from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> Any:
    """An array over bytes; with order `K`, `axes` says how its axes are turned."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject or order not in ("C", "F", "K"):
        raise refuse("it takes bytes for Python objects")
    flat = np.frombuffer(buffer, dtype=dtype)
    if order == "K" and axes is not None:
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def dtype_of(code: Any, *flags: Any) -> np.dtype[Any]:
    """An element type by its code, such as `f8`."""
    if not isinstance(code, str) or len(code) > 32 or not all(isinstance(flag, int) for flag in flags):
        raise refuse("it makes an odd element type")
    # A copy, since its state may follow, and NumPy shares one object for each ordinary type.
    return np.dtype(code, copy=True)


def scalar(dtype: Any, content: Any = b"") -> Any:
    """A number or text of an element type."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(content, bytes | str):
        raise refuse("it takes bytes for a Python object")
    if dtype.itemsize == 0:
        return dtype.type()
    raw = content if isinstance(content, bytes) else content.encode("latin1")
    return np.frombuffer(raw, dtype=dtype, count=1)[0]


def masked_array(kind: Any, base: Any, shape: Any, code: Any) -> Any:
    """An empty masked array, whose state follows."""
    if kind is not np.ma.MaskedArray or base is not np.ndarray or shape != (0,) or code not in (b"b", "b"):
        raise refuse("it makes a masked array of an odd kind")
    reconstruct: Any = importlib.import_module("numpy.ma.core")._mareconstruct  # noqa: SLF001 - what NumPy pickles
    return reconstruct(kind, base, shape, code)


def ufunc(module: Any, name: Any) -> Any:
    """A universal function by its name."""
    if module not in (
        "numpy",
        "numpy.core.umath",
        "numpy._core.umath",
        "scipy.special",
        "scipy.special._ufuncs",
    ):
        raise refuse(f"it asks for a function of {module!r}")
    value = getattr(importlib.import_module(module), name, None)
    if not isinstance(value, np.ufunc):
        raise refuse(f"it asks for {module}.{name}")
    return value


def bit_generator(given: Any = "MT19937") -> Any:
    """A source of random bits by its class or the name of it."""
    name = given if isinstance(given, str) else getattr(given, "__name__", "")
    kind = getattr(np.random, name, None) if name in BIT_GENERATORS else None
    if kind is None or (isinstance(given, type) and given is not kind):
        raise refuse("it asks for an odd random generator")
    return kind()


def generator(given: Any = "MT19937", constructor: Any = None) -> Any:
    """A random generator over a source of bits."""
    del constructor
    return np.random.Generator(_bits(given))


def random_state(given: Any = "MT19937", constructor: Any = None) -> Any:
    """A `RandomState` over a source of bits."""
    del constructor
    return np.random.RandomState(_bits(given))


def _bits(given: Any) -> Any:
    return given if isinstance(given, np.random.BitGenerator) else bit_generator(given)


def encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How old protocols spell bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise refuse(f"it encodes text as {encoding!r}")
    return codecs.encode(text, "latin1")


def default_dict(factory: Any = None, *rest: Any) -> Any:
    """A dict with a default."""
    if factory not in (None, list, dict, int, float, set, str) or rest:
        raise refuse("it makes a dict with an odd default")
    return collections.defaultdict(factory)


def guarded(module: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes an instance of the compiled class it is given, for classes of its own module alone."""

    def make(kind: Any, *state: Any) -> Any:
        own = isinstance(kind, type) and kind.__module__ == module
        if not own or (name != "newObj" and kind.__name__ != name.removeprefix("__pyx_unpickle_")):
            raise refuse(f"it makes an odd object with {module}.{name}")
        return function(kind, *state)

    return make


def seed_sequence(kind: Any, *state: Any) -> Any:
    """A `SeedSequence`."""
    if kind is not np.random.SeedSequence:
        raise refuse("it seeds an odd random generator")
    function = getattr(importlib.import_module("numpy.random.bit_generator"), "__pyx_unpickle_SeedSequence")
    return function(kind, *state)


CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": encode,
    "collections.defaultdict": default_dict,
    "numpy.dtype": dtype_of,
    "numpy.ma.core._mareconstruct": masked_array,
    "numpy.random._pickle.__bit_generator_ctor": bit_generator,
    "numpy.random._pickle.__generator_ctor": generator,
    "numpy.random._pickle.__randomstate_ctor": random_state,
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence": seed_sequence,
    **{
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in (
            ("multiarray._reconstruct", array),
            ("multiarray.scalar", scalar),
            ("numeric._frombuffer", array_from_buffer),
            ("_ufunc_reconstruct", ufunc),
        )
    },
}
"""The name that a pickle asks for, and what is called in its place."""
