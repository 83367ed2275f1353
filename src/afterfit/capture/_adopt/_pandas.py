"""pandas containers in pickles, as pandas 2 and 3 write them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from afterfit.capture._adopt._constructors import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

MADE = {
    "pandas.DataFrame": "pandas.DataFrame",
    "pandas.core.frame.DataFrame": "pandas.DataFrame",
    "pandas.Series": "pandas.Series",
    "pandas.core.series.Series": "pandas.Series",
    "pandas.core.internals.managers.SingleBlockManager": "pandas.core.internals.managers.SingleBlockManager",
    "pandas.CategoricalDtype": "pandas.CategoricalDtype",
    "pandas.core.dtypes.dtypes.CategoricalDtype": "pandas.CategoricalDtype",
    "pandas.arrays.ArrowStringArray": "pandas.arrays.ArrowStringArray",
    "pandas.core.arrays.string_arrow.ArrowStringArray": "pandas.arrays.ArrowStringArray",
}
"""Classes that a pickle makes instances of, and where each is found."""

NAMED = {
    "pandas.Index": "pandas.Index",
    "pandas.core.indexes.base.Index": "pandas.Index",
    "pandas.RangeIndex": "pandas.RangeIndex",
    "pandas.core.indexes.range.RangeIndex": "pandas.RangeIndex",
    "pandas.Categorical": "pandas.Categorical",
    "pandas.core.arrays.categorical.Categorical": "pandas.Categorical",
}
"""Classes that constructors are told to make."""


def found(path: str) -> Any:
    """A class or function by its path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def index(kind: Any, content: Any) -> Any:
    """An index of columns or rows."""
    allowed = [found("pandas.Index"), found("pandas.RangeIndex")]
    if kind not in allowed or type(content) is not dict:
        raise refuse("it makes an odd pandas index")
    return found("pandas.core.indexes.base._new_Index")(kind, content)


def array_backed(kind: Any, *state: Any) -> Any:
    """A categorical column."""
    if kind is not found("pandas.Categorical"):
        raise refuse("it makes an odd pandas column")
    return found("pandas._libs.arrays.__pyx_unpickle_NDArrayBacked")(kind, *state)


def string_type(storage: Any = None, *rest: Any) -> Any:
    """The element type of text."""
    if storage not in (None, "python", "pyarrow"):
        raise refuse("it makes an odd pandas element type")
    return found("pandas.StringDtype")(storage, *rest)


def arrow_array(data: Any) -> Any:
    """An Arrow array, once Arrow has checked that its offsets stay inside its buffers."""
    made = found("pyarrow.lib._restore_array")(data)
    made.validate(full=True)
    return made


def _library(path: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return found(path)(*arguments)

    return call


CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "pandas.core.indexes.base._new_Index": index,
    "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked": array_backed,
    "pandas.StringDtype": string_type,
    "pandas.core.arrays.string_.StringDtype": string_type,
    "pyarrow.lib._restore_array": arrow_array,
    **{
        path: _library(path)
        for path in (
            "pandas._libs.internals._unpickle_block",
            "pandas.core.internals.managers.BlockManager",
            "pyarrow.lib.py_buffer",
            "pyarrow.lib.type_for_alias",
        )
    },
}
