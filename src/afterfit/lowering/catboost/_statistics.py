"""CatBoost's statistics of categories (CTR), read from its JSON: what it counted, and what it makes of the counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_EMPTY = (1 << 64) - 1
"""What CatBoost holds in the empty places of a table of hashes."""
_COUNTERS = ("Counter", "FeatureFreq")
_MEANS = ("BinarizedTargetMeanValue", "FloatTargetMeanValue")


@dataclass(frozen=True)
class Projection:
    """What a statistic is of: categorical features, and conditions that tell their combinations further apart.

    `borders`: float features and the border each is compared with; `matches`: categorical features and the hash
    each is compared with.
    """

    categoricals: tuple[int, ...]
    borders: tuple[tuple[int, float], ...]
    matches: tuple[tuple[int, int], ...]

    @property
    def conditions(self) -> int:
        """How many conditions there are."""
        return len(self.borders) + len(self.matches)


@dataclass(frozen=True)
class Statistic:
    """One statistic: its value lies between two of the `borders` that splits compare it with.

    `hashes` uint64 `[t]`, sorted: the combinations that CatBoost has met. `codes` uint16 `[t + 1]`: how many borders
    lie below the value of each, and of all others at last. `first_split`: the number of the split by its first
    border, by which trees name it.
    """

    projection: Projection
    hashes: NDArray[np.uint64]
    codes: NDArray[np.uint16]
    first_split: int

    def codes_of(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint16]:
        """The code of each of `hashes` `[n]`."""
        if not len(self.hashes):
            return np.full(len(hashes), self.codes[-1])
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return self.codes[np.where(self.hashes[places] == hashes, places, len(self.hashes))]


def unsigned(value: int) -> int:
    """A hash of a category, from 0 up to 2**32; JSON states some of them with a sign."""
    return value & 0xFFFFFFFF


def read_statistics(document: dict[str, Any]) -> tuple[Statistic, ...]:
    """The statistics that a model's splits compare, in its own order."""
    features = document["features_info"]
    split = sum(len(found.get("borders") or ()) for found in features.get("float_features") or ())
    split += sum(len(found.get("values") or ()) for found in features.get("categorical_features") or ())
    statistics = []
    for feature in features.get("ctrs") or ():
        table = document["ctr_data"][feature["identifier"]]
        statistics.append(_read_statistic(feature, table, split))
        split += len(feature["borders"])
    return tuple(statistics)


def ambiguous_types(document: dict[str, Any]) -> list[str]:
    """The types of statistics that are made with more than one set of target borders.

    The JSON keeps one table for a projection and a type, where CatBoost then has several.
    """
    parameters = document["model_info"].get("params", {}).get("cat_feature_params", {})
    lists = [parameters.get("simple_ctrs", []), parameters.get("combinations_ctrs", [])]
    lists += (parameters.get("per_feature_ctrs") or {}).values()
    found = set()
    for described in lists:
        kinds: dict[str, list[Any]] = {}
        for one in described:
            known = kinds.setdefault(one["ctr_type"], [])
            if (target := one.get("target_binarization")) not in known:
                known.append(target)
        found |= {kind for kind, targets in kinds.items() if len(targets) > 1}
    return sorted(found)


def _read_statistic(feature: dict[str, Any], table: dict[str, Any], first_split: int) -> Statistic:
    rows = np.array(table["hash_map"], dtype=object).reshape(-1, table["hash_stride"])
    hashes = np.array([int(found) for found in rows[:, 0]], dtype=np.uint64)
    kept = np.flatnonzero(hashes != _EMPTY)
    kept = kept[np.argsort(hashes[kept])]
    counts = rows[kept, 1:].astype(np.float64)
    part, whole = _fractions(feature, table, counts)
    borders = np.array(feature["borders"], dtype=np.float64).astype(np.float32)
    values = _values(feature, part, whole)
    codes = np.searchsorted(borders, np.where(np.isnan(values), -np.inf, values), side="left").astype(
        np.uint16
    )
    return Statistic(_read_projection(feature["elements"]), hashes[kept], codes, first_split)


def _fractions(
    feature: dict[str, Any], table: dict[str, Any], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The numerator and the denominator `[t + 1]` of each combination, and of those never met at last."""
    kind, border = feature["ctr_type"], feature["target_border_idx"]
    if kind in _COUNTERS:
        return np.append(counts[:, 0], 0), np.full(len(counts) + 1, float(table["counter_denominator"]))
    if kind in _MEANS:
        return np.append(counts[:, 0], 0), np.append(counts[:, 1], 0)
    if kind not in ("Borders", "Buckets"):
        raise ValueError(f"a statistic of the unknown type {kind}")
    # Of two classes CatBoost counts the second, whatever the border.
    border = 0 if counts.shape[1] == 2 and kind == "Borders" else border
    part = counts[:, border] if kind == "Buckets" else counts[:, border + 1 :].sum(axis=1)
    return np.append(part, 0), np.append(counts.sum(axis=1), 0)


def _values(
    feature: dict[str, Any], part: NDArray[np.float64], whole: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The values, in float32 at each step as CatBoost computes them."""
    prior, denominator = np.float32(feature["prior_numerator"]), np.float32(feature["prior_denomerator"])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (part.astype(np.float32) + prior) / (whole.astype(np.float32) + denominator)
        moved: NDArray[np.float32] = (share + np.float32(feature["shift"])) * np.float32(feature["scale"])
    return moved


def _read_projection(elements: list[dict[str, Any]]) -> Projection:
    def of_kind(kind: str) -> Iterator[dict[str, Any]]:
        return (one for one in elements if one["combination_element"] == kind)

    return Projection(
        tuple(one["cat_feature_index"] for one in of_kind("cat_feature_value")),
        tuple((one["float_feature_index"], float(one["border"])) for one in of_kind("float_feature")),
        tuple(
            (one["cat_feature_index"], unsigned(one["value"])) for one in of_kind("cat_feature_exact_value")
        ),
    )
