"""XGBoost's margins, bit for bit: float32 columns, float32 thresholds, float32 sums in the order of the trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._categories import categorical_columns, encode_categories
from afterfit.lowering._links import logistic, softmax
from afterfit.lowering._registry import adapts, exports, lowers
from afterfit.lowering._table import Regression, Table, constant, round_to_float32
from afterfit.lowering._tree_ensemble import (
    note_thresholds,
    refuse_too_large,
    sum_leaf_rows,
    sum_leaves,
)
from afterfit.lowering.xgboost._dump import Dump, read_dump, read_trees

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context

LOGISTIC = ("binary:logistic", "reg:logistic")
EXPONENTIAL = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft")
IDENTITY = (
    "binary:logitraw",
    "rank:map",
    "rank:ndcg",
    "rank:pairwise",
    "reg:absoluteerror",
    "reg:expectileerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
    "reg:squarederror",
    "reg:squaredlogerror",
)

_ASCII = "Rename the categories so that they are ASCII alone and fit again"


@lowers("xgboost.core.Booster")
def lower_booster(estimator: Any, X: Table, context: Context) -> Regression:
    """What `Booster.predict` of a DMatrix returns: probabilities or values, by the objective; all its trees."""
    dump = read_dump(estimator)
    margins = lower_margins(estimator, dump, X, context, missing=np.nan, rounds=None)
    if dump.objective == "multi:softmax":
        return Regression(op.cast(op.arg_max(margins, axis=1, keepdims=False), to=np.float64))
    return regression(respond(estimator, dump, margins, context), dump)


@exports("xgboost.core.Booster")
def export_booster(estimator: Any) -> dict[str, bytes]:
    """UBJSON, as `Booster.save_model("model.ubj")` writes it."""
    return {"model.ubj": bytes(estimator.save_raw("ubj"))}


@adapts("xgboost.core.Booster")
class BoosterOnRows:
    """A native booster that is asked with rows: they become a DMatrix first, missing values being NaN."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster

    def predict(self, rows: Any) -> Any:
        """What the booster answers for a DataFrame or an array of rows."""
        import xgboost

        types = self._booster.feature_types
        given = types if isinstance(rows, np.ndarray) and types else None
        return self._booster.predict(
            xgboost.DMatrix(
                rows,
                enable_categorical=True,
                feature_types=given,
                feature_names=self._booster.feature_names if given else None,
            )
        )


def regression(values: Var, dump: Dump) -> Regression:
    """Values `[N, outputs]` as `predict` returns them: one output without a second axis."""
    if dump.outputs == 1:
        return Regression(op.reshape(values, constant([-1], np.int64)))
    return Regression(values, dump.outputs)


def respond(estimator: Any, dump: Dump, margins: Var, context: Context) -> Var:
    """The transformation that the objective makes of margins `[N, outputs]`, rounded to float32."""
    objective = dump.objective
    if objective in IDENTITY:
        return margins
    if objective in LOGISTIC:
        return round_to_float32(logistic(margins))
    if objective in EXPONENTIAL:
        return round_to_float32(op.exp(margins))
    if objective in {"multi:softprob", "multi:softmax"}:
        return round_to_float32(softmax(margins))
    if objective == "binary:hinge":
        return op.cast(op.greater(margins, constant(0.0)), to=np.float64)
    raise context.refuse(
        estimator,
        f"its objective {objective!r} is not known here",
        "Fit it with one of XGBoost's objectives that docs/boosters.md lists",
    )


def lower_margins(
    estimator: Any, dump: Dump, X: Table, context: Context, *, missing: float, rounds: int | None
) -> Var:
    """The margins float64 `[N, outputs]`, which are float32 numbers. `rounds`: how many it answers with, if not all.

    `missing`: the number that it takes for a missing value, beside NaN.
    """
    context.note_float32_sum(estimator)
    received = _encode(estimator, dump, X, context)
    matrix = op.cast(context.numbers(estimator, received), to=np.float32)
    if not np.isnan(missing):
        stands = op.equal(matrix, constant(missing, np.float32))
        matrix = op.where(stands, constant(np.nan, np.float32), matrix)
    start = np.broadcast_to(_base_margins(dump), (dump.outputs,))
    if dump.booster == "gblinear":
        # It begins the sums of every output with the base score of the first.
        return _linear(dump, matrix, np.broadcast_to(start[:1], start.shape))
    indptr = dump.model["iteration_indptr"]
    count = len(dump.model["trees"]) if rounds is None else int(indptr[min(rounds, len(indptr) - 1)])
    if count == 0:
        raise context.refuse(estimator, "it has no trees", "Fit it with n_estimators of at least 1")
    refuse_too_large(
        estimator,
        sum(int(tree["tree_param"]["num_nodes"]) for tree in dump.model["trees"][:count]),
        context,
    )
    trees, values, owners = read_trees(dump, 0, count)
    matrix = _truncate_codes(dump, matrix)
    wide = op.cast(matrix, to=np.float64)
    note_thresholds(context, wide, received, trees)
    if dump.vector_leaves:
        sums = sum_leaf_rows(wide, X.width, trees, values)
        return round_to_float32(op.add(sums, constant(start)))
    sums = sum_leaves(
        matrix,
        X.width,
        trees,
        values,
        start=start.astype(np.float64),
        owners=owners,
        dtype=np.float32,
    )
    return op.cast(sums, to=np.float64)


def _base_margins(dump: Dump) -> NDArray[np.float32]:
    """`base_score`, which is kept on the scale of the answers, on the scale of the margins."""
    score = dump.base_score
    with np.errstate(divide="ignore"):
        if dump.objective in LOGISTIC:
            return np.asarray(-np.log(np.float32(1) / score - np.float32(1)), dtype=np.float32)
        return np.log(score) if dump.objective in EXPONENTIAL else score


def _linear(dump: Dump, matrix: Var, start: NDArray[np.float32]) -> Var:
    """A linear booster: missing values count as zero."""
    weights = np.array(dump.model["weights"], dtype=np.float32).reshape(dump.features + 1, dump.outputs)
    known = op.where(op.isnan(matrix), constant(0.0, np.float32), matrix)
    products = op.matmul(op.cast(known, to=np.float64), constant(weights[:-1]))
    return round_to_float32(op.add(products, constant(weights[-1].astype(np.float64) + start)))


def _encode(estimator: Any, dump: Dump, X: Table, context: Context) -> Table:
    """The columns with those of a categorical dtype as the codes that XGBoost gave them when it was fitted."""
    categorical = categorical_columns(X, context)
    unknown = [position for position in categorical if position not in dump.categories]
    if unknown:
        names = ", ".join(repr(context.columns[X.origins[i].column].name) for i in unknown)  # type: ignore[union-attr] # raw columns have an origin
        raise context.refuse(
            estimator,
            f"it does not know which code each category of {names} had when it was fitted",
            "Fit it with XGBoost 3.1 or later on the DataFrame itself, with enable_categorical=True",
        )
    for position, values in dump.categories.items():
        if not all(str(value).isascii() for value in values):
            raise context.refuse(
                estimator,
                f"XGBoost cuts category names that are not ASCII in the middle (column {position}), so that some of "
                "them may be taken for each other",
                _ASCII,
            )
    return encode_categories(estimator, X, dump.categories, context, closed=True)


def _truncate_codes(dump: Dump, matrix: Var) -> Var:
    """Columns that were given as codes, not as categories: their numbers are cut to integers."""
    given = [position for position in dump.coded if position not in dump.categories]
    if not given:
        return matrix
    is_code = np.isin(np.arange(dump.features), given)
    return op.where(op.constant(value=is_code), op.floor(matrix), matrix)
