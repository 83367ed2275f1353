"""CatBoost's statistics of categories (CTR), of every type, of one feature and of several, against CatBoost itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

catboost = pytest.importorskip("catboost", reason="CatBoost is an extra")

from afterfit.lowering.catboost import _hashes, _lookup  # noqa: E402
from afterfit.lowering.catboost._hashes import category_hashes, find_combinations  # noqa: E402
from afterfit.lowering.catboost._json import read_json, save_json  # noqa: E402

if TYPE_CHECKING:
    from afterfit.lowering.catboost._json import Dump

CATEGORIES = ["word", "number", "place", "half", "truth"]
COMMON: dict[str, Any] = {
    "iterations": 25,
    "depth": 5,
    "learning_rate": 0.3,
    "max_ctr_complexity": 4,
    "model_size_reg": 0,
    "cat_features": CATEGORIES,
    "verbose": 0,
    "allow_writing_files": False,
    "thread_count": 1,
    "random_seed": 0,
}


@dataclass(frozen=True)
class Rows:
    """Real rows with categories: `X` to fit on, and tables of others that hold what `X` does not."""

    X: pd.DataFrame
    y: np.ndarray
    others: tuple[pd.DataFrame, ...]


@pytest.fixture(scope="module")
def rows(data: Any) -> Rows:
    """Breast cancer: texts, integers and booleans made of its columns, which tell its classes apart by combinations.

    `others`: held-out rows, rows whose columns were shuffled (combinations never met), and categories never met.
    """
    found = data("breast_cancer", missing=False, categorical=True, size=260)

    def with_categories(X: pd.DataFrame) -> pd.DataFrame:
        places = pd.qcut(X.iloc[:, 5].rank(method="first"), 12, labels=False)
        return X.assign(
            word=X.word.astype(str),
            number=X.number.astype(int),
            place=[f"place {number}" for number in places],
            half=np.where(X.iloc[:, 1] > X.iloc[:, 1].median(), "high", "low"),
            truth=X.iloc[:, 2] > X.iloc[:, 2].median(),
        )

    X, held_out = with_categories(found.X), with_categories(found.rows)
    for table, seed in ((X, 1), (held_out, 2)):
        gaps = np.random.default_rng(seed).random((len(table), 4)) < 0.15
        table[table.columns[:4]] = table[table.columns[:4]].mask(gaps)
    shuffled = held_out.apply(lambda column: column.sample(frac=1, random_state=len(column.name)).to_numpy())
    unseen = shuffled.copy()
    for seed, (name, value) in enumerate(
        {"word": "never", "number": 99, "place": "", "half": "none"}.items()
    ):
        unseen.loc[np.random.default_rng(seed).random(len(unseen)) < 0.25, name] = value
    y = found.y ^ (X.word == "group 0") ^ ((X.number == 7) & X.truth) ^ (X.place == "place 3")
    return Rows(X, y.to_numpy().astype(int), (held_out, shuffled, unseen))


def read(model: Any) -> Dump:
    return read_json(save_json(model))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nan_mode": "Max"},
        {"one_hot_max_size": 4},
        {"one_hot_max_size": 4, "grow_policy": "Lossguide"},
        {"grow_policy": "Depthwise"},
        {"boosting_type": "Ordered"},
        {"max_ctr_complexity": 1},
        {"store_all_simple_ctr": True},
        {"ctr_leaf_count_limit": 5},
    ],
    ids=str,
)
def test_classifiers(options: Any, rows: Rows, agrees: Any):
    model = catboost.CatBoostClassifier(**{**COMMON, **options}).fit(rows.X, rows.y)
    assert read(model).statistics
    agrees(model, rows.X, *rows.others)


def test_combinations_are_of_every_kind(rows: Rows):
    model = catboost.CatBoostClassifier(**{**COMMON, "one_hot_max_size": 4, "iterations": 60})
    projections = {found.projection for found in read(model.fit(rows.X, rows.y)).statistics}
    assert any(len(found.categoricals) > 1 for found in projections)
    assert any(found.borders and found.matches for found in projections)


@pytest.mark.parametrize("complexity", [1, 4])
@pytest.mark.parametrize(
    "described",
    [
        ["Borders:TargetBorderCount=3"],
        ["Buckets:TargetBorderCount=2"],
        ["BinarizedTargetMeanValue:TargetBorderCount=3"],
        ["Counter:Prior=0.5:CtrBorderCount=40"],
        ["Borders:Prior=0.3", "Buckets", "Counter"],
    ],
    ids=lambda described: described[0].split(":")[0],
)
def test_types_of_statistics(described: list[str], complexity: int, rows: Rows, agrees: Any):
    model = catboost.CatBoostRegressor(
        **{**COMMON, "max_ctr_complexity": complexity}, simple_ctr=described, combinations_ctr=described
    )
    target = rows.y + rows.X.iloc[:, 4].to_numpy() / rows.X.iloc[:, 4].mean()
    agrees(model.fit(rows.X, target), rows.X, *rows.others)


@pytest.mark.parametrize(
    ("old", "new"), [("BinarizedTargetMeanValue", "FloatTargetMeanValue"), ("Counter", "FeatureFreq")]
)
def test_types_that_only_a_gpu_makes(old: str, new: str, rows: Rows, agrees: Any, tmp_path: Path):
    model = catboost.CatBoostRegressor(**COMMON, simple_ctr=[old], combinations_ctr=[old])
    document = json.loads(save_json(model.fit(rows.X, rows.y)).replace(old.encode(), new.encode()))
    for found in document["features_info"]["ctrs"]:
        found.update(prior_numerator=0.3, prior_denomerator=1.7, shift=0.1)
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(document))
    loaded = catboost.CatBoostRegressor().load_model(str(path), format="json")
    path.unlink()
    agrees(loaded, rows.X, *rows.others)


def test_statistics_of_single_features(rows: Rows, agrees: Any):
    described = ["8:Counter:Prior=0.5", "10:Buckets:TargetBorderCount=1:Prior=0.25"]
    model = catboost.CatBoostClassifier(**COMMON, per_feature_ctr=described)
    agrees(model.fit(rows.X, rows.y), rows.X, *rows.others)


@pytest.mark.parametrize("loss", ["MultiClass", "MultiClassOneVsAll"])
def test_several_classes(loss: str, rows: Rows, agrees: Any):
    labels = np.array(["no", "yes", "perhaps"])[rows.y + (rows.X.place == "place 5")]
    model = catboost.CatBoostClassifier(**COMMON, loss_function=loss).fit(rows.X, labels)
    assert {found["target_border_idx"] for found in read(model).document["features_info"]["ctrs"]} > {0}
    agrees(model, rows.X, *rows.others)


@pytest.mark.parametrize("loss", ["Quantile:alpha=0.2", "Poisson", "RMSEWithUncertainty"])
def test_regressors(loss: str, rows: Rows, agrees: Any):
    model = catboost.CatBoostRegressor(**COMMON, loss_function=loss).fit(rows.X, rows.y + 1.0)
    agrees(model, rows.X, *rows.others)


def test_a_ranker(rows: Rows, agrees: Any):
    model = catboost.CatBoostRanker(**COMMON, loss_function="YetiRank")
    groups = np.arange(len(rows.X)) // 13
    agrees(model.fit(rows.X, rows.y, group_id=groups), rows.X, *rows.others)


def test_a_native_model_and_a_sum_of_models(rows: Rows, agrees: Any):
    pool = catboost.Pool(rows.X, rows.y, cat_features=CATEGORIES)
    options = {name: value for name, value in COMMON.items() if name != "cat_features"}
    first, second = (
        catboost.CatBoost({**options, "random_seed": seed, "loss_function": "Logloss"}).fit(pool)
        for seed in (0, 1)
    )
    agrees(first, rows.X, *rows.others)
    both = catboost.sum_models([first, second], ctr_merge_policy="IntersectingCountersAverage")
    agrees(both, rows.X, *rows.others)


def test_one_row(rows: Rows, agrees: Any):
    model = catboost.CatBoostClassifier(**COMMON).fit(rows.X, rows.y)
    saved = agrees(model, rows.X)
    for table in rows.others:
        one = table.iloc[[3]].dropna(axis=1).reindex(columns=table.columns)
        row = one.astype(object).where(one.notna(), None).to_dict("records")
        np.testing.assert_allclose(saved.predict_proba(row), model.predict_proba(one), rtol=0, atol=1e-12)


def test_counters_of_evaluation_rows_too(rows: Rows, agrees: Any, refuses: Any):
    train = rows.X.place != "place 7"
    evaluated = rows.X[~train]
    model = catboost.CatBoostClassifier(
        **COMMON, counter_calc_method="Full", simple_ctr=["Counter", "Borders"]
    ).fit(rows.X[train], rows.y[train], eval_set=(evaluated, rows.y[~train]))
    refuses(model, rows.X[train].reset_index(drop=True), "eval_set")
    agrees(model, rows.X, *rows.others)


def test_categories_that_share_a_hash(rows: Rows, agrees: Any):
    shared = {"place 0": 47220, "place 1": 111524}
    assert len(set(category_hashes(list(shared.values())).tolist())) == 1
    X, *others = (
        table.assign(place=[shared.get(place, len(place)) for place in table.place])
        for table in (rows.X, *rows.others)
    )
    agrees(catboost.CatBoostClassifier(**COMMON).fit(X, rows.y), X, *others)


def test_tables_of_known_combinations_only(rows: Rows, agrees: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_lookup, "_FULL_TABLE", 0)
    model = catboost.CatBoostClassifier(**COMMON).fit(rows.X, rows.y)
    agrees(model, rows.X, *rows.others)


@pytest.mark.parametrize(
    "imputer",
    [SimpleImputer(strategy="constant", fill_value="gone"), SimpleImputer(strategy="most_frequent")],
)
@pytest.mark.parametrize("most", [0, 1 << 20], ids=["combinations of rows", "all combinations"])
def test_inside_a_pipeline(imputer: Any, most: int, rows: Rows, agrees: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_hashes, "MOST_COMBINATIONS", most)

    def with_gaps(table: pd.DataFrame, seed: int) -> pd.DataFrame:
        gaps = np.random.default_rng(seed).random((len(table), 2)) < 0.2
        return table.assign(**table[["word", "place"]].mask(gaps))

    X, *others = (with_gaps(table, seed) for seed, table in enumerate((rows.X, *rows.others)))
    columns = make_column_transformer(
        (StandardScaler(), list(X.columns[:8])),
        (imputer, ["word", "place"]),
        ("passthrough", ["number", "half", "truth"]),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = make_pipeline(columns, catboost.CatBoostClassifier(**COMMON)).fit(X, rows.y)
    agrees(model, X, *others)


def test_arrays_of_objects(rows: Rows, agrees: Any):
    X, *others = (table.to_numpy(dtype=object) for table in (rows.X, *rows.others))
    model = catboost.CatBoostClassifier(**{**COMMON, "cat_features": [8, 9, 10, 11, 12]})
    agrees(model.fit(X, rows.y), X, *others)


def test_a_border_that_only_tells_missing_values_apart_is_no_range(agrees: Any):
    draw = np.random.default_rng(0)
    X = pd.DataFrame({"x": draw.normal(size=200), "word": draw.choice(list("abcd"), 200)})
    X.loc[::3, "x"] = np.nan
    model = catboost.CatBoostRegressor(**{**COMMON, "cat_features": ["word"]}, nan_mode="Max", border_count=1)
    model.fit(X, X.x.isna() * (X.word == "a") + (X.word == "b"))
    assert {border for found in read(model).statistics for _, border in found.projection.borders} >= {
        float(np.finfo(np.float32).max)
    }
    agrees(model, X)


def test_a_tree_without_splits(agrees: Any):
    X = pd.DataFrame({"x": np.arange(30.0), "word": list("abc") * 10})
    options = {**COMMON, "cat_features": ["word"], "min_data_in_leaf": 1}
    model = catboost.CatBoostRegressor(**options, ignored_features=["x"]).fit(X, (X.word == "a") * 1.0)
    document = json.loads(save_json(model))
    assert any(not tree["splits"] for tree in document["oblivious_trees"])
    agrees(model, X)


def test_categories_that_x_does_not_hold_are_refused(rows: Rows, refuses: Any):
    model = catboost.CatBoostClassifier(**COMMON).fit(rows.X, rows.y)
    refuses(model, rows.X[rows.X.place != "place 3"].reset_index(drop=True), "Give the training rows")


def test_combinations_too_many_to_look_through_are_those_of_the_rows(
    rows: Rows, agrees: Any, refuses: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_hashes, "MOST_COMBINATIONS", 0)
    model = catboost.CatBoostClassifier(**COMMON).fit(rows.X, rows.y)
    once = [rows.X.drop_duplicates(name) for name in CATEGORIES]
    refuses(model, pd.concat(once, ignore_index=True), "combinations of the categories")
    agrees(model, rows.X, *rows.others)


def test_tables_and_combinations_too_large_are_refused(
    rows: Rows, refuses: Any, monkeypatch: pytest.MonkeyPatch
):
    model = catboost.CatBoostClassifier(**COMMON).fit(rows.X, rows.y)
    monkeypatch.setattr(_hashes, "MOST_COMBINATIONS", 40)
    monkeypatch.setattr(_hashes, "MOST_CANDIDATES", 40)
    refuses(model, rows.X, "max_ctr_complexity")
    monkeypatch.undo()
    monkeypatch.setattr(_lookup, "_MOST_BYTES", 100)
    refuses(model, rows.X, "fewer categories")


def test_one_type_with_several_target_borders_is_refused(rows: Rows, refuses: Any):
    model = catboost.CatBoostRegressor(
        **COMMON, simple_ctr=["Borders:TargetBorderCount=1", "Borders:TargetBorderCount=2"]
    )
    refuses(model.fit(rows.X, rows.y + rows.X.iloc[:, 4]), rows.X, "TargetBorderCount")


def test_embedding_features_are_refused(refuses: Any):
    draw = np.random.default_rng(0)
    X = pd.DataFrame({"x": np.arange(40.0), "meaning": list(draw.normal(size=(40, 3)))})
    model = catboost.CatBoostClassifier(
        iterations=5, verbose=0, allow_writing_files=False, embedding_features=["meaning"]
    )
    refuses(model.fit(X, [0, 1] * 20), X, "embedding features")


def test_hashes_of_categories_are_those_that_catboost_uses():
    values: list[Any] = [
        "a",
        "",
        "ä",
        "a\0b",
        "\x1a",
        '\n"\\',
        "x" * 3000,
        "True",
        True,
        False,
        1,
        "1",
        -7,
        10**18,
    ]
    found = category_hashes(values)
    assert found[0] == 3489901818
    assert found[10] == found[11]
    assert [category_hashes([value])[0] for value in values] == found.tolist()


def fold(hashes: list[np.ndarray], combination: tuple[int, ...]) -> int:
    """The hash of a combination, as the loop of CatBoost's own applicator in Python computes it."""
    factor, result = 0x4906BA494954CB65, 0
    for place, part in enumerate(combination):
        value = int(hashes[place][part].astype(np.int32)) if place < len(hashes) else part
        result = factor * (result + factor * value) % (1 << 64)
    return result


@pytest.mark.parametrize("sizes", [(4,), (3, 4), (5, 2, 6), (2, 3, 2, 4)])
@pytest.mark.parametrize("conditions", [0, 2])
def test_combinations_are_found_by_folding_and_unfolding(sizes: tuple[int, ...], conditions: int):
    draw = np.random.default_rng(0)
    hashes = [draw.integers(0, 1 << 32, size, dtype=np.uint32) for size in sizes]
    everything = list(np.ndindex(*sizes, *[2] * conditions))
    wanted = [everything[i] for i in draw.permutation(len(everything))[: max(1, len(everything) // 3)]]
    targets = np.array([*(fold(hashes, one) for one in wanted), 12345], dtype=np.uint64)
    found = find_combinations(hashes, conditions, targets)
    assert found is not None
    combinations, places = found
    assert {
        place: tuple(one) for one, place in zip(combinations.tolist(), places.tolist(), strict=True)
    } == dict(enumerate(wanted))


@pytest.mark.parametrize("others", [0, 9], ids=["met after the first feature", "met after both"])
def test_combinations_that_share_a_hash_are_all_found(others: int):
    """The factor times 1634957387 is 3733843607 modulo 2**64."""
    first, second = -500_000_000, 2_000_000_000
    hashes = [
        np.array([first, first + 1634957387], dtype=np.int64).astype(np.uint32),
        np.array([second, second - 3733843607], dtype=np.int64).astype(np.uint32),
    ]
    shared = fold(hashes, (0, 0))
    assert shared == fold(hashes, (1, 1))
    found = find_combinations(hashes, 0, np.array([shared, *range(others)], dtype=np.uint64))
    assert found is not None
    assert sorted(found[0].tolist()) == [[0, 0], [1, 1]]
    assert found[1].tolist() == [0, 0]
