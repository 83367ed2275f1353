"""Statistics of categories in a graph: combinations become keys, and keys are looked up in tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.ml.v5 as ml
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._table import constant
from afterfit.lowering._tree_ensemble import note_thresholds_of, round_thresholds_from_float32
from afterfit.lowering.catboost._hashes import find_combinations, match_combinations
from afterfit.schema._types import FLOAT_EXACT

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table
    from afterfit.lowering.catboost._categories import Feature
    from afterfit.lowering.catboost._json import Dump
    from afterfit.lowering.catboost._statistics import Projection, Statistic

_FULL_TABLE = 1 << 15
"""Up to this many combinations a table holds all of them; beyond, those that CatBoost has met."""
_MOST_BYTES = 1 << 30
"""Tables larger than this come too near the 2 GB that one ONNX graph may have."""


@dataclass(frozen=True)
class _Keys:
    """How a projection's combinations are numbered: `weights` `[parts]` times the parts of one add up to its key.

    `count`: how many keys there are. `known` int64 `[m]`: those of combinations that CatBoost has met, and
    `hashes` uint64 `[m]` theirs.
    """

    weights: NDArray[np.float64]
    count: int
    known: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    @property
    def full(self) -> bool:
        """Whether a table has a place for every key."""
        return self.count <= max(_FULL_TABLE, 2 * len(self.known))


class StatisticColumns:
    """The columns of a model's statistics, each the code of its row's combination (`Statistic.codes`)."""

    def __init__(
        self, estimator: Any, dump: Dump, X: Table, features: dict[int, Feature], context: Context
    ) -> None:
        self._estimator = estimator
        self._dump = dump
        self._X = X
        self._context = context
        self._features = {feature: features[column] for feature, column in dump.categoricals.items()}
        projections = [statistic.projection for statistic in dump.statistics]
        self._projections = list(dict.fromkeys(projections))
        self._categoricals = sorted({one for found in projections for one in found.categoricals})
        self._borders = sorted({one for found in projections for one in found.borders})
        self._matches = sorted({one for found in projections for one in found.matches})
        self.columns = {dump.categoricals[feature] for feature in self._categoricals}

    def codes(self) -> Var:
        """The codes float64 `[N, statistics]`."""
        keys = {projection: self._keys(projection) for projection in self._projections}
        looked_up = [projection for projection in self._projections if not keys[projection].full]
        parts = self._parts
        if looked_up:
            parts = op.concat([parts, self._ranks([keys[one] for one in looked_up])], axis=1)
        width = len(self._categoricals) + len(self._borders) + len(self._matches)
        statistics = self._dump.statistics
        weights = np.zeros((width + len(looked_up), len(statistics)))
        for column, statistic in enumerate(statistics):
            found = keys[statistic.projection]
            if found.full:
                weights[:width, column] = found.weights
            else:
                weights[width + looked_up.index(statistic.projection), column] = 1.0
        tables = [_table(statistic, keys[statistic.projection]) for statistic in statistics]
        starts = np.cumsum([0] + [len(table) for table in tables])[:-1]
        place = op.add(op.matmul(parts, constant(weights)), constant(starts))
        table = np.concatenate(tables)
        if table.nbytes > _MOST_BYTES:
            raise self._context.refuse(
                self._estimator,
                f"its statistics need tables of {table.nbytes:,} bytes, and one graph holds {_MOST_BYTES:,} of them",
                "Fit it with fewer trees, a smaller max_ctr_complexity or fewer categories",
            )
        code = op.gather(constant(table, None), op.cast(place, to=np.int64), axis=0)
        return op.cast(code, to=np.float64)

    @cached_property
    def _parts(self) -> Var:
        """What combinations are made of, float64 `[N, parts]`: indices of categories, then conditions as 0 and 1."""
        parts = [self._features[feature].index for feature in self._categoricals]
        if self._borders:
            parts.append(op.cast(self._above(), to=np.float64))
        if self._matches:
            found = [
                op.equal(self._features[feature].places, constant(float(self._place(feature, wanted))))
                for feature, wanted in self._matches
            ]
            parts.append(op.cast(op.concat(found, axis=1), to=np.float64))
        return parts[0] if len(parts) == 1 else op.concat(parts, axis=1)

    def _place(self, feature: int, wanted: int) -> int:
        return self._dump.hashes[feature].index(wanted)

    def _above(self) -> Var:
        """Whether numbers lie above borders, bool `[N, borders]`."""
        columns = [self._dump.numbers[feature] for feature, _ in self._borders]
        borders = round_thresholds_from_float32(np.array([border for _, border in self._borders]))
        table = self._X.select(columns)
        numbers = self._context.numbers(self._estimator, table)
        for column in dict.fromkeys(columns):
            told = [border for one, border in zip(columns, borders, strict=True) if one == column]
            note_thresholds_of(self._context, numbers, table, columns.index(column), np.array(told))
        above = op.greater(numbers, constant(borders))
        missing = np.array([feature in self._dump.missing_goes_right for feature, _ in self._borders])
        if not missing.any():
            return above
        return op.or_(above, op.and_(op.isnan(numbers), constant(missing, np.bool_)))

    def _keys(self, projection: Projection) -> _Keys:
        features = [self._features[feature] for feature in projection.categoricals]
        hashes = [feature.hashes for feature in features]
        tables = [one.hashes for one in self._dump.statistics if one.projection == projection]
        met = np.unique(np.concatenate(tables))
        found = find_combinations(hashes, projection.conditions, met)
        if found is None:
            # Where the rows of X explain all that CatBoost has met, it has met no other combination.
            rows = np.unique(np.stack([feature.rows() for feature in features], axis=1), axis=0)
            known = rows[(rows >= 0).all(axis=1)]
            found = match_combinations(hashes, projection.conditions, met, known)
        names = " and ".join(repr(feature.name) for feature in features)
        if found is None:
            raise self._context.refuse(
                self._estimator,
                f"it keeps hashes of the combinations of {names} only, of which there are too many to look through",
                "Fit it with a smaller max_ctr_complexity",
            )
        combinations, places = found
        unseen = len(met) - len(np.unique(places))
        if unseen:
            what = "categories" if len(features) == 1 else "combinations of the categories"
            raise self._context.refuse(
                self._estimator,
                f"its statistics count {unseen} {what} of {names} that X does not hold, "
                "and it keeps hashes of them only",
                "Give the training rows as X (with counter_calc_method='Full' those of eval_set too)",
            )
        # One more index for a category that X does not hold.
        sizes = [len(found) + 1 for found in hashes] + [2] * projection.conditions
        strides = [math.prod(sizes[place + 1 :]) for place in range(len(sizes))]
        weights = np.zeros(len(self._categoricals) + len(self._borders) + len(self._matches))
        weights[self._places(projection)] = strides
        count = math.prod(sizes)
        known = np.zeros(len(places), np.int64) if count > FLOAT_EXACT else combinations @ np.array(strides)
        return _Keys(weights, count, known, met[places])

    def _places(self, projection: Projection) -> list[int]:
        """Where the parts of a projection are in `_parts`."""
        borders = len(self._categoricals)
        matches = borders + len(self._borders)
        return [
            *(self._categoricals.index(one) for one in projection.categoricals),
            *(borders + self._borders.index(one) for one in projection.borders),
            *(matches + self._matches.index(one) for one in projection.matches),
        ]

    def _ranks(self, keys: list[_Keys]) -> Var:
        """For projections whose tables hold known combinations only, their ranks from 1, 0 for any other."""
        starts = np.cumsum([0] + [found.count for found in keys], dtype=object)
        if starts[-1] > FLOAT_EXACT:
            raise self._context.refuse(
                self._estimator,
                f"the categories that it combines have {starts[-1]:.0e} combinations, more than float64 can number",
                "Fit it with a smaller max_ctr_complexity",
            )
        weights = np.stack([found.weights for found in keys], axis=1)
        key = op.add(op.matmul(self._parts, constant(weights)), constant(starts[:-1].astype(np.float64)))
        wanted = [np.sort(found.known) + start for found, start in zip(keys, starts[:-1], strict=True)]
        ranks = [np.arange(1.0, len(found.known) + 1) for found in keys]
        return ml.label_encoder(
            key,
            keys_tensor=np.concatenate(wanted).astype(np.float64),
            values_tensor=np.concatenate(ranks),
            default_tensor=np.zeros(1),
        )


def _table(statistic: Statistic, keys: _Keys) -> NDArray[Any]:
    """The code of every key, or of no known one and of each known one in order."""
    codes = statistic.codes_of(keys.hashes)
    other = statistic.codes[-1:]
    if not keys.full:
        return np.concatenate([other, codes[np.argsort(keys.known)]])
    table = np.repeat(other, keys.count)
    table[keys.known] = codes
    return table
