"""The shared builder: thresholds moved to float64, and drawn trees against a plain walk."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import spox
from hypothesis import given, settings
from hypothesis import strategies as st

from afterfit.lowering import Context, Origin, RawColumn, Table, _tree_ensemble
from afterfit.lowering._tree_ensemble import (
    Trees,
    no_categories,
    note_thresholds,
    round_thresholds_from_float32,
    sum_leaf_rows,
    sum_leaves,
)

FLOAT32_MAX = float(np.finfo(np.float32).max)
any_float = st.floats(allow_nan=False) | st.floats(allow_nan=False, width=32)


def to_float32(values):
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float64).astype(np.float32)


@given(threshold=any_float, other=any_float)
@settings(max_examples=500, deadline=None)
def test_a_moved_threshold_decides_in_float64_as_the_threshold_does_in_float32(threshold, other):
    moved = round_thresholds_from_float32(np.array([threshold]))[0]
    near = [threshold, other, moved, np.nextafter(moved, -np.inf), np.nextafter(moved, np.inf)]
    with np.errstate(over="ignore"):
        near += [float(np.nextafter(np.float32(threshold), np.float32(side))) for side in (-np.inf, np.inf)]
    x = np.array(near)
    np.testing.assert_array_equal(x <= moved, to_float32(x).astype(np.float64) <= threshold)


@pytest.mark.parametrize(
    "threshold", [0.0, -0.0, 1e-46, -1e-46, FLOAT32_MAX, -FLOAT32_MAX, np.inf, -np.inf, 1e300]
)
def test_a_moved_threshold_is_right_at_the_ends_of_float32(threshold):
    moved = round_thresholds_from_float32(np.array([threshold]))
    x = np.array([0.0, 1e-46, 5e-324, 1e-45, FLOAT32_MAX, 2.0**128 - 2.0**103, 3.5e38, np.inf])
    x = np.concatenate([x, -x, moved])
    x = np.concatenate([x, np.nextafter(x, np.inf), np.nextafter(x, -np.inf)])
    np.testing.assert_array_equal(x <= moved, to_float32(x).astype(np.float64) <= threshold)


WIDTH, CATEGORIES = 4, 40


def draw_tree(rng, depth, *, categories):
    nodes = []

    def grow(level):
        here = len(nodes)
        nodes.append(node := {"leaf": level == 0 or rng.random() < 0.15, "samples": int(rng.integers(1, 99))})
        if node["leaf"]:
            return here
        node["missing"] = bool(rng.integers(2))
        if categories and rng.random() < 0.5:
            count = int(rng.choice([2, 31, CATEGORIES]))
            row = np.zeros(CATEGORIES, np.bool_)
            row[rng.choice(count, size=int(rng.integers(1, count + 1)), replace=False)] = True
            node |= {"feature": 0, "row": row, "count": count}
        else:
            value = rng.choice([rng.normal(), 0.0, -0.0, np.inf, float(rng.integers(-2, 3))])
            node |= {"feature": int(rng.integers(1, WIDTH)), "threshold": float(value)}
        node["left"], node["right"] = grow(level - 1), grow(level - 1)
        return here

    grow(depth)
    return nodes


def as_trees(nodes):
    get = lambda name, default: np.array([node.get(name, default) for node in nodes])  # noqa: E731
    rows = [node for node in nodes if "row" in node]
    sets = np.full(len(nodes), -1)
    sets[[i for i, node in enumerate(nodes) if "row" in node]] = np.arange(len(rows))
    return Trees(
        starts=np.array([0, len(nodes)]),
        feature=get("feature", -2),
        threshold=get("threshold", -2.0),
        left=get("left", -1),
        right=get("right", -1),
        is_leaf=get("leaf", None),
        missing_left=get("missing", False),
        samples=get("samples", None),
        category_set=sets,
        goes_left=np.array([node["row"] for node in rows], np.bool_).reshape(-1, CATEGORIES),
        categories=np.array([node["count"] for node in rows], np.int64),
    )


def walk(nodes, row):
    place = 0
    while not (here := nodes[place])["leaf"]:
        value = row[here["feature"]]
        if np.isnan(value):
            left = here["missing"]
        elif "row" in here:
            left = here["row"][int(value)]
        else:
            left = value <= here["threshold"]
        place = here["left" if left else "right"]
    return place


def draw_rows(rng, count):
    rows = rng.choice([-np.inf, np.inf, 0.0, -0.0, 1.0, -2.0, np.nan, 0.3], size=(count, WIDTH))
    rows += rng.normal(size=rows.shape) * (rng.random(rows.shape) < 0.5)
    # A category that a set does not count is not possible, so categories stay below the smallest count.
    rows[:, 0] = rng.choice([0.0, 1.0, np.nan], size=count)
    return rows


def run(outputs_of, rows):
    x = spox.argument(spox.Tensor(np.float64, ("N", rows.shape[1])))
    model = spox.build({"x": x}, {"sums": outputs_of(x)})
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options).run(None, {"x": rows})[0]


@pytest.fixture(params=["in one", "in parts"])
def divided(request, monkeypatch):
    if request.param == "in parts":
        monkeypatch.setattr(_tree_ensemble, "_NODES_PER_PART", 30)


@pytest.mark.parametrize("categories", [False, True])
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("divided")
def test_drawn_trees_answer_as_a_plain_walk(seed, categories):
    rng = np.random.default_rng(seed)
    drawn = [draw_tree(rng, int(rng.integers(0, 6)), categories=categories) for _ in range(9)]
    trees = Trees.join(as_trees(nodes) for nodes in drawn)
    rows = draw_rows(rng, 40)
    if categories:
        rows = np.concatenate([rows, rows])
    reached = np.array(
        [[trees.starts[i] + walk(nodes, row) for i, nodes in enumerate(drawn)] for row in rows]
    )

    values = rng.integers(-1000, 1000, trees.nodes).astype(np.float64)
    start = np.array([1.0, 10.0, 100.0])
    expected = start + values[reached].reshape(len(rows), 3, 3).sum(axis=1)
    got = run(lambda x: sum_leaves(x, WIDTH, trees, values, start=start), rows)
    np.testing.assert_array_equal(got, expected)

    table = rng.integers(-1000, 1000, (trees.nodes, 5)).astype(np.float64)
    got = run(lambda x: sum_leaf_rows(x, WIDTH, trees, table), rows)
    np.testing.assert_array_equal(got, table[reached].sum(axis=1))


def test_every_category_of_a_set_goes_its_way():
    rng = np.random.default_rng(0)
    for _ in range(30):
        count = int(rng.integers(2, CATEGORIES + 1))
        row = np.zeros(CATEGORIES, np.bool_)
        row[rng.choice(count, size=int(rng.integers(1, count + 1)), replace=False)] = True
        node = {"leaf": False, "feature": 0, "row": row, "count": count, "left": 1, "right": 2}
        for samples in ((1, 2), (2, 1)):
            leaves = [{"leaf": True, "samples": part} for part in samples]
            for missing in (True, False):
                trees = as_trees([node | {"missing": missing, "samples": 3}, *leaves])
                rows = np.append(np.arange(count, dtype=np.float64), np.nan)[:, None]
                got = run(lambda x, trees=trees: sum_leaves(x, 1, trees, np.array([0.0, 1.0, 0.0])), rows)
                np.testing.assert_array_equal(got[:, 0], np.append(row[:count], missing).astype(np.float64))


def test_the_sum_begins_with_start_and_adds_up_tree_by_tree():
    """Floating-point sums depend on their order; one node keeps the order of the trees to the last bit."""
    rng = np.random.default_rng(0)
    drawn = [draw_tree(rng, 4, categories=False) for _ in range(100)]
    trees = Trees.join(as_trees(nodes) for nodes in drawn)
    values = rng.normal(size=trees.nodes) * 10.0 ** rng.integers(-8, 8, trees.nodes)
    rows = draw_rows(rng, 200)
    expected = np.full(len(rows), 0.1)
    for i, nodes in enumerate(drawn):
        expected += values[trees.starts[i] + np.array([walk(nodes, row) for row in rows])]
    for batch in (rows, rows[:1], rows[:40]):
        got = run(lambda x: sum_leaves(x, WIDTH, trees, values, start=np.array([0.1])), batch)
        np.testing.assert_array_equal(got[:, 0], expected[: len(batch)])


def test_noted_thresholds_are_a_spread_of_those_that_decide():
    rng = np.random.default_rng(0)
    trees = Trees.join(as_trees(draw_tree(rng, 6, categories=True)) for _ in range(30))
    context = Context([RawColumn("a", np.dtype(np.float64))])
    x = spox.argument(spox.Tensor(np.float64, ("N", WIDTH)))
    X = Table.of(x, WIDTH, origins=[None, Origin(0, True), None, None])
    note_thresholds(context, x, X, trees)
    (noted,) = context.thresholds
    decides = trees.threshold[~trees.is_leaf & (trees.feature == 1) & np.isfinite(trees.threshold)]
    assert noted.position == 1
    assert len(noted.values) == 16
    assert set(noted.values) <= set(decides)
    assert {decides.min(), decides.max()} <= set(noted.values)


def test_a_million_nodes_are_built_within_the_time_of_a_test():
    depth, copies = 13, 62
    inner, nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    place = np.arange(nodes)
    tree = Trees(
        starts=np.array([0, nodes]),
        feature=place % 3,
        threshold=place / nodes,
        left=np.where(place < inner, 2 * place + 1, -1),
        right=np.where(place < inner, 2 * place + 2, -1),
        is_leaf=place >= inner,
        missing_left=place % 2 == 0,
        samples=nodes - place,
        **no_categories(nodes),
    )
    trees = Trees.join([tree] * copies)
    x = spox.argument(spox.Tensor(np.float64, ("N", 3)))
    model = spox.build({"x": x}, {"sums": sum_leaves(x, 3, trees, np.ones(trees.nodes))})
    assert trees.nodes > 1_000_000
    assert len(model.SerializeToString()) < 40 * trees.nodes
