"""CatBoost's hashes: of categories, which it is asked for, and of combinations, which it folds from them."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FACTOR = 0x4906BA494954CB65
_INVERSE = np.uint64(pow(_FACTOR, -1, 1 << 64))
_MULTIPLIER = np.uint64(_FACTOR)
MOST_COMBINATIONS = 1 << 22
"""Hashes of combinations to look through for one projection; more take seconds."""

MOST_CANDIDATES = 1 << 25
"""Hashes of combinations of rows to look up for one projection, 8 bytes each and as much again for their places."""


def category_hashes(values: Sequence[Any]) -> NDArray[np.uint32]:
    """The hash of each category, as CatBoost itself makes it of the value.

    CatBoost writes the texts of a pool's categories and their hashes into the JSON of a model. Values whose text is
    not there are asked one by one: booleans, which it spells in its own way, and those that share a hash.
    """
    with tempfile.TemporaryDirectory() as folder:
        ask = _Asker(Path(folder))
        hashes = {text: found for found, text in ask(values).items()}
        texts = [_text(value) for value in values]
        return np.array(
            [
                hashes[text] if text in hashes else next(iter(ask([value])))
                for text, value in zip(texts, values, strict=True)
            ],
            dtype=np.uint32,
        )


def _text(value: Any) -> str | None:
    """The text of a category, where there is no doubt about it."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None


class _Asker:
    """The hashes of some categories and their texts, from a model of one split that CatBoost saves with them."""

    def __init__(self, folder: Path) -> None:
        import catboost

        self._pool = catboost.Pool
        self._path = folder / "hashes.json"
        split = {"split_type": "OneHotFeature", "cat_feature_index": 0, "value": 0, "split_index": 0}
        feature = {"feature_id": "", "feature_index": 0, "flat_feature_index": 0, "values": [0]}
        document = {
            "features_info": {"categorical_features": [feature]},
            "model_info": {},
            "oblivious_trees": [{"leaf_values": [0.0, 0.0], "leaf_weights": [0, 0], "splits": [split]}],
            "scale_and_bias": [1.0, [0.0]],
        }
        self._path.write_text(json.dumps(document), encoding="utf-8")
        self._model = catboost.CatBoost().load_model(str(self._path), format="json")

    def __call__(self, values: Sequence[Any]) -> dict[int, str]:
        if not values:
            return {}
        pool = self._pool([[value] for value in values], cat_features=[0])
        self._model.save_model(str(self._path), format="json", pool=pool)
        features = json.loads(self._path.read_bytes())["features_info"]
        return {found["hash"]: found["value"] for found in features["cat_features_hash"]}


def find_combinations(
    hashes: Sequence[NDArray[np.uint32]], conditions: int, targets: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Which combinations of categories and conditions have one of the hashes `targets` `[t]`.

    `hashes`: those of each categorical feature, no two alike; `conditions`: how many booleans follow. Answers with
    combinations `[m, features + conditions]`, positions in `hashes` and 0 or 1, and the place of each in `targets`
    `[m]`; with None where there are too many to look through.

    A hash is folded as `h = f * (h + f * part)` modulo 2**64, part by part, and `f` is odd: so it can be
    unfolded too. Combinations of the first features are folded, the targets are unfolded by the rest, and both
    meet.
    """
    parts = _parts(hashes, conditions)
    sizes = [len(part) for part in parts]
    costs = [
        math.prod(sizes[:meeting]) + len(targets) * math.prod(sizes[meeting:])
        for meeting in range(1, len(hashes) + 1)
    ]
    meeting = 1 + int(np.argmin(costs))
    if costs[meeting - 1] > MOST_COMBINATIONS:
        return None
    folded = np.zeros(1, dtype=np.uint64)
    for part in parts[:meeting]:
        folded = _fold(folded[:, np.newaxis], part).ravel()
    unfolded = targets
    for part in reversed(parts[meeting:]):
        unfolded = (
            _INVERSE * unfolded[np.newaxis] - _MULTIPLIER * part.reshape(-1, *[1] * unfolded.ndim)
        ).reshape(len(part), *unfolded.shape)
    order = np.argsort(folded, kind="stable")
    first = np.searchsorted(folded[order], unfolded.ravel(), side="left")
    times = np.searchsorted(folded[order], unfolded.ravel(), side="right") - first
    met = np.repeat(np.arange(unfolded.size), times)
    within = np.arange(len(met)) - np.repeat(np.cumsum(times) - times, times)
    begun = np.unravel_index(order[np.repeat(first, times) + within], sizes[:meeting])
    *ended, places = np.unravel_index(met, unfolded.shape)
    return np.stack([*begun, *ended], axis=1).astype(np.int64), places.astype(np.int64)


def match_combinations(
    hashes: Sequence[NDArray[np.uint32]],
    conditions: int,
    targets: NDArray[np.uint64],
    candidates: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """As `find_combinations`, but only among `candidates` `[c, features]` of categories; `targets` are sorted."""
    if len(candidates) << conditions > MOST_CANDIDATES:
        return None
    parts = _parts(hashes, conditions)
    folded = np.zeros(len(candidates), dtype=np.uint64)
    for column, part in enumerate(parts[: len(hashes)]):
        folded = _fold(folded, part[candidates[:, column]])
    for part in parts[len(hashes) :]:
        folded = _fold(folded[..., np.newaxis], part)
    places = np.minimum(np.searchsorted(targets, folded), len(targets) - 1)
    row, *ended = np.nonzero(targets[places] == folded)
    return np.column_stack([candidates[row], *ended]).astype(np.int64), places[row, *ended]


def _parts(hashes: Sequence[NDArray[np.uint32]], conditions: int) -> list[NDArray[np.uint64]]:
    """What is folded for each part of a combination; hashes of categories with their sign."""
    signed = [found.astype(np.int32).astype(np.int64).astype(np.uint64) for found in hashes]
    return signed + [np.array([0, 1], dtype=np.uint64)] * conditions


def _fold(folded: NDArray[np.uint64], part: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return _MULTIPLIER * (folded + _MULTIPLIER * part)
