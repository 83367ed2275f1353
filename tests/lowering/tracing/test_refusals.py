"""What cannot be traced is refused, with the line of the person's code that stopped it."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import FunctionTransformer

import afterfit

if TYPE_CHECKING:
    from pathlib import Path

X = np.random.default_rng(0).normal(size=(40, 3)) + 5
INTEGERS = np.arange(120).reshape(40, 3)


def decides(X: Any) -> Any:
    doubled = X * 2
    if doubled[0, 0] > 3:  # stops here
        return doubled
    return X


def decides_on_all(X: Any) -> Any:
    if (X > 0).all():  # stops here
        return X
    return -X


def converts(X: Any) -> Any:
    return X * float(X[:, 0])  # stops here


def over_rows(X: Any) -> Any:
    return X - X.mean(axis=0)  # stops here


def over_everything(X: Any) -> Any:
    return X / X.max()  # stops here


def over_rows_of_frame(X: Any) -> Any:
    return X.assign(a=X["a"] - X["a"].mean())  # stops here


def counts_rows(X: Any) -> Any:
    return X / X.shape[0]  # stops here


def goes_through_rows(X: Any) -> Any:
    return np.array([[row[0] * 2] for row in X])  # stops here


def filters(X: Any) -> Any:
    return X[X[:, 0] > 0]  # stops here


def applies(X: Any) -> Any:
    return X.apply(np.log1p)  # stops here


def by_position(X: Any) -> Any:
    return X + np.arange(len(X))[:, None]  # stops here


def sorts(X: Any) -> Any:
    return np.sort(X, axis=1)  # stops here


def text_methods(X: Any) -> Any:
    return X["a"].str.len().to_frame()  # stops here


def matrix_of_rows(X: Any) -> Any:
    return X @ X.T  # stops here


def catches(X: Any) -> Any:
    try:
        scale = float(X[0, 0])  # stops here
    except Exception:  # noqa: BLE001 - as people do
        scale = 1.0
    return X * scale


def within(X: Any) -> Any:
    return helper(X)


def helper(X: Any) -> Any:
    return X.cumprod(axis=1)  # stops here


def writes_a_slice(X: Any) -> Any:
    X = X.copy()
    column = X[:, 0]
    column *= 2  # stops here
    return X


def reads_a_stale_slice(X: Any) -> Any:
    X = X.copy()
    column = X[:, 0]
    X[:, 0] = 1
    return X + column[:, None]  # stops here


def one_value(X: Any) -> Any:
    return X[:, 0] * 2


def draws(X: Any) -> Any:
    return X + np.random.default_rng().normal(size=X.shape)  # stops here


def draws_once(X: Any) -> Any:
    return X + np.random.default_rng().normal()


def constant(X: Any) -> Any:
    return np.ones((len(X), 2))


FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
TEXT = pd.DataFrame({"a": ["x", "yy", "z"] * 8, "b": range(24)})
STOPPED = [
    (decides, X, "single rows"),
    (decides_on_all, X, "over rows"),
    (over_rows, X, "over rows"),
    (over_everything, X, "over rows"),
    (over_rows_of_frame, FRAME, "over rows"),
    (counts_rows, X, "number of rows"),
    (goes_through_rows, X, "one by one"),
    (draws, X, "by chance"),
    (filters, X + 100, "how many rows"),
    (applies, FRAME, "DataFrame.apply"),
    (by_position, X, "by its position"),
    (sorts, X, "np.sort"),
    (text_methods, TEXT, "Series.str"),
    (catches, X, "single rows"),
    (within, X, "cumprod"),
    (writes_a_slice, X, "into a slice"),
    (reads_a_stale_slice, X, "written to since"),
]


@pytest.mark.parametrize(
    ("function", "rows", "reason"), STOPPED, ids=[function.__name__ for function, *_ in STOPPED]
)
def test_the_line_is_named(function: Any, rows: Any, reason: str, tmp_path: Path):
    transformer = FunctionTransformer(function).fit(rows)
    with pytest.raises(afterfit.UnsupportedModelError, match=reason) as caught:
        afterfit.save(transformer, tmp_path / "model.afit", X=rows)
    assert not list(tmp_path.iterdir())
    where = helper if function is within else function
    lines, first = inspect.getsourcelines(where)
    stops = next(i for i, line in enumerate(lines) if "# stops here" in line)
    message = str(caught.value)
    assert f'file "{__file__}", line {first + stops}: `{lines[stops].strip()}`' in message
    assert caught.value.way_out


@pytest.mark.parametrize(
    ("function", "reason"),
    [(one_value, "one value a row"), (draws_once, "asked again"), (constant, "does not depend on the rows")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_function_is_named_where_no_line_stopped(function: Any, reason: str, tmp_path: Path):
    transformer = FunctionTransformer(function).fit(X)
    with pytest.raises(afterfit.UnsupportedModelError, match=reason) as caught:
        afterfit.save(transformer, tmp_path / "model.afit", X=X)
    assert re.search(rf"{function.__name__} cannot be traced", str(caught.value))


def test_numpy_is_as_before_after_a_trace_that_stopped(tmp_path: Path):
    kept = {name: getattr(np, name) for name in ("asarray", "array", "c_", "take")} | {
        "DataFrame": pd.DataFrame
    }
    with pytest.raises(afterfit.UnsupportedModelError):
        afterfit.save(FunctionTransformer(decides).fit(X), tmp_path / "model.afit", X=X)
    assert all(getattr(np, name) is value for name, value in kept.items() if name != "DataFrame")
    assert pd.DataFrame is kept["DataFrame"]


@pytest.mark.parametrize(
    "function",
    [
        lambda X: X ** X[:, [0]],
        lambda X: np.left_shift(X, 1),
        lambda X: X.astype(np.float16),
        lambda X: X.astype(str),
    ],
    ids=["power", "shift", "float16", "text"],
)
def test_integers_are_refused_where_they_would_not_be_exact(function: Any, tmp_path: Path):
    transformer = FunctionTransformer(function).fit(INTEGERS)
    with pytest.raises(afterfit.UnsupportedModelError):
        afterfit.save(transformer, tmp_path / "model.afit", X=INTEGERS)


def test_integers_beyond_the_exact_range_of_floats_are_refused(tmp_path: Path):
    rows = INTEGERS + 2**60
    transformer = FunctionTransformer(lambda X: X % 7).fit(rows)
    with pytest.raises(afterfit.UnsupportedModelError, match=r"beyond 2\*\*53"):
        afterfit.save(transformer, tmp_path / "model.afit", X=rows)


def month(frame: Any) -> Any:
    return frame.apply(lambda column: column.dt.month)


def test_a_column_that_no_graph_holds_is_refused_by_its_name(tmp_path: Path):
    frame = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=40)})
    with pytest.raises(
        afterfit.UnsupportedModelError, match="it reads the column 'when', which holds datetimes"
    ):
        afterfit.save(FunctionTransformer(month).fit(frame), tmp_path / "m.afit", X=frame)
