"""What CatBoost's trees compare: numbers, places of categories, and statistics of categories."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._look_up import is_missing, look_up
from afterfit.lowering._table import Table, concatenate, constant
from afterfit.lowering.catboost._hashes import category_hashes
from afterfit.lowering.catboost._lookup import StatisticColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Block
    from afterfit.lowering.catboost._json import Dump


@dataclass(frozen=True)
class Columns:
    """The columns that trees compare: those of `X` at `places`, then one for each statistic."""

    table: Table
    places: dict[int, int]
    statistics: int

    @staticmethod
    def of(estimator: Any, dump: Dump, X: Table, context: Context) -> Columns:
        """Columns of numbers as they are, of categories as places in the feature's `hashes`, and statistics.

        A category of no split, or of statistics alone, has no column.
        """
        features = {
            column: Feature(estimator, dump, feature, X.column(column), context)
            for feature, column in dump.categoricals.items()
        }
        statistics = StatisticColumns(estimator, dump, X, features, context)
        parts, places = [], {}
        for position in range(X.width):
            if position not in features:
                parts.append(Table((X.column(position),)))
            elif position in statistics.columns and not len(features[position].asked):
                continue
            else:
                parts.append(Table.of(features[position].places, 1))
            places[position] = len(parts) - 1
        if dump.statistics:
            parts.append(Table.of(statistics.codes(), len(dump.statistics)))
        return Columns(concatenate(parts), places, len(places))


class Feature:
    """One categorical feature: the categories that `X` holds, and what CatBoost makes of them."""

    def __init__(self, estimator: Any, dump: Dump, feature: int, block: Block, context: Context) -> None:
        self._estimator = estimator
        self._block = block
        self._context = context
        self.asked = np.array(dump.hashes[feature], dtype=np.uint32)

    @property
    def name(self) -> str:
        """The name of the raw column."""
        origin = self._block.origins[0]
        return "" if origin is None else self._context.columns[origin.column].name

    @cached_property
    def _values(self) -> list[Any]:
        origin = self._block.origins[0]
        if origin is None or not origin.verbatim:
            raise self._context.refuse(
                self._estimator,
                "it reads categories of a column that earlier steps computed, and keeps hashes of them only",
                "Give it the raw column, its missing values filled by SimpleImputer if by anything",
            )
        held = self._context.columns[origin.column].distinct()
        values = [value for value in held if not is_missing(value)]
        self._context.learn(self._block, values, open=True)
        fills = [_as_category(fill) for fill in origin.fills if not is_missing(fill)]
        return values + [fill for fill in fills if fill not in values]

    @cached_property
    def _hashes(self) -> NDArray[np.uint32]:
        return category_hashes(self._values)

    @cached_property
    def hashes(self) -> NDArray[np.uint32]:
        """The hashes of all categories, none twice, sorted."""
        return np.unique(self._hashes)

    def rows(self) -> NDArray[np.int64]:
        """The place in `hashes` of the category in each row of `X`, -1 for none."""
        origin = self._block.origins[0]
        if origin is None:
            return np.zeros(0, np.int64)
        places = dict(zip(self._values, np.searchsorted(self.hashes, self._hashes).tolist(), strict=True))
        other = places[_as_category(origin.fills[0])] if origin.fills else -1
        replaced = {value for value in origin.replaced if not is_missing(value)}
        return np.array(
            [
                other if is_missing(value) or value in replaced else places[value]
                for value in self._context.columns[origin.column].values()
            ],
            dtype=np.int64,
        )

    @cached_property
    def index(self) -> Var:
        """The place of each row's category in `hashes`, float64 `[N, 1]`; their number for any other category."""
        return self._look_up(
            self._values, np.searchsorted(self.hashes, self._hashes), default=float(len(self.hashes))
        )

    @cached_property
    def places(self) -> Var:
        """The place of each row's category among those `asked` for, float64 `[N, 1]`; NaN for any other category."""
        if not len(self.asked):
            rows = op.shape(self._context.read_block(self._estimator, self._block))
            return op.expand(constant(np.nan), rows)
        unseen = len(np.setdiff1d(self.asked, self.hashes))
        if unseen:
            raise self._context.refuse(
                self._estimator,
                f"its splits ask for {unseen} categories of {self.name!r} that X does not hold, "
                "and it keeps hashes of them only",
                "Give the training rows as X",
            )
        asked, place = np.nonzero(self._hashes[:, np.newaxis] == self.asked)
        return self._look_up([self._values[i] for i in asked], place, default=np.nan)

    def _look_up(self, values: Sequence[Any], answers: NDArray[np.int64], default: float) -> Var:
        keys = np.empty(len(values), dtype=object)
        keys[:] = values
        found = look_up(
            self._estimator,
            self._block,
            keys,
            answers.astype(np.float64),
            default,
            context=self._context,
        )
        return op.unsqueeze(found, constant([1], np.int64))


def _as_category(fill: Any) -> Any:
    """What an imputer wrote, a whole number as an integer: CatBoost takes no other number for a category."""
    plain = fill.item() if isinstance(fill, np.generic) else fill
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain
