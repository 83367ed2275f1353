"""The index chooses and orders as the files say, and can be made anew from them at any time."""

from __future__ import annotations

import datetime as dt
import math
import operator
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import afterfit
from afterfit.errors import ArgumentError
from afterfit.tracking import IndexedRun, RunIndex, _index_tables, downsample, parse_filter, runs_folder
from afterfit.tracking._filter import Combination, Comparison
from afterfit.tracking._place import run_key
from afterfit.tracking._selection import choose, in_order


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunIndex:
    monkeypatch.setenv("AFTERFIT_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    for i, loss in enumerate([0.5, math.nan, 0.1, math.inf]):
        with afterfit.run(
            "a" if i % 2 else "b", {"lr": i / 10, "kind": "x" * i, "on": i > 1, "big": 10**i}
        ) as run:
            run.log(0, loss=2.0, steps=2)
            run.log(1, loss=loss)
            run.tag(stage=f"s{i}")
    found = RunIndex(runs_folder())
    found.refresh()
    return found


@pytest.fixture
def mixed(index: RunIndex) -> RunIndex:
    """With a run whose values are of other types than those of the others, and one that lacks them."""
    with afterfit.run("c", {"lr": "auto", "kind": 0.1, "big": 10**400, "some": 1}) as run:
        run.log(0, loss="none yet")
    afterfit.run("b").finish("failed")
    index.refresh()
    return index


def chosen(index: RunIndex, where: str | None, **options) -> list[float]:
    return [run.params["lr"] for run in index.select(where, **options)[0]]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("lr > 0.05", {0.1, 0.2, 0.3}),
        ("lr > 0.05 and not name = a", {0.2}),
        ("name = b or loss = 0.1", {0.0, 0.2}),
        ("status = finished", {0.0, 0.1, 0.2, 0.3}),
        ("loss < 1", {0.0, 0.2}),
        ("loss = nan", {0.1}),
        ("loss = inf", {0.3}),
        ("min.loss < 0.2", {0.2}),
        ("kind ~ 'XX'", {0.2, 0.3}),
        ("kind in (x, xx)", {0.1, 0.2}),
        ("on = true", {0.2, 0.3}),
        ("big >= 100", {0.2, 0.3}),
        ("stage != s1", {0.0, 0.2, 0.3}),
        ("started > 2020-01-01", {0.0, 0.1, 0.2, 0.3}),
        ("started > 2020-01-01T00:00 and ended < 2021-01-01", set()),
        ("parent = x", set()),
        ("`params.lr` == 0.3", {0.3}),
    ],
)
def test_a_filter_chooses(index: RunIndex, where: str, expected: set[float]):
    assert set(chosen(index, where)) == expected


def test_runs_without_the_value_come_last_whatever_the_order(index: RunIndex):
    assert chosen(index, None, sort="loss") == [0.3, 0.0, 0.2, 0.1]
    assert chosen(index, None, sort="loss", descending=False) == [0.2, 0.0, 0.3, 0.1]
    found, count = index.select(None, limit=2)
    assert (len(found), count) == (2, 4)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("nothing = 1", "there are id, name.*params.lr.*metrics.loss"),
        ("lr >", "the end"),
        ("lr 3", "one of ="),
        ("(lr = 1", "`\\)`"),
        ("lr = 1 2", "`and`, `or` or the end"),
        ("lr = '", "cannot be read"),
        ("started > soon", "no time"),
        ("(" * 60 + "lr = 1", "nests deeper"),
    ],
)
def test_a_filter_that_cannot_be_used_says_why(index: RunIndex, where: str, words: str):
    with pytest.raises(ArgumentError, match=words):
        index.select(where)


VALUES = st.sampled_from(
    [0.0, 0.1, 1.0, 100.0, math.inf, math.nan, "x", "XX", "0.1", "a", "finished", "true", True, False]
)
FILTERS = st.recursive(
    st.builds(
        Comparison,
        st.sampled_from(["lr", "kind", "on", "big", "loss", "min.loss", "stage", "name", "status", "duration", "some"]),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~", "in"]),
        st.tuples(VALUES) | st.tuples(VALUES, VALUES),
    ),
    lambda inner: (
        st.builds(Combination, st.sampled_from(["and", "or"]), st.tuples(inner, inner))
        | st.builds(Combination, st.just("not"), st.tuples(inner))
    ),
    max_leaves=6,
)  # fmt: skip
OPERATORS = {
    "=": operator.eq, "in": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip


def holds(tree, run: IndexedRun, resolve) -> bool:
    """What a filter says of a run, as docs/runs.md tells it."""
    if isinstance(tree, Combination):
        parts = [holds(part, run, resolve) for part in tree.parts]
        return {"and": all(parts), "or": any(parts), "not": not parts[0]}[tree.operator]
    kind, name = resolve(tree.name)
    found = run.value(kind, name)
    return found is not None and any(agrees(found, kind, tree.operator, value) for value in tree.values)


def agrees(found, kind: str, sign: str, value) -> bool:
    number = _index_tables.as_number(found)
    if sign == "~":
        return _index_tables.spelled(value).lower() in _index_tables.spelled(found).lower()
    if isinstance(value, float) and not math.isnan(value):
        return number is not None and not math.isnan(number) and OPERATORS[sign](number, value)
    if kind == "attributes" and (isinstance(value, float) or not isinstance(found, str)):
        return False
    return OPERATORS[sign](*(_index_tables.spelled(one).encode() for one in (found, value)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=FILTERS, sort=st.sampled_from(["lr", "loss", "kind", "some", "name"]), descending=st.booleans())
def test_the_index_chooses_what_the_filter_says_of_each_run(
    mixed: RunIndex, tree, sort: str, descending: bool
):
    runs = mixed.select(None, limit=None)[0]
    expected = {run.attributes["id"] for run in runs if holds(tree, run, mixed.resolve)}
    with closing(sqlite3.connect(mixed._path)) as database:
        found = choose(database, tree, mixed.resolve)
        order = in_order(database, *mixed.resolve(sort), descending=descending)
        keys = list(found.among(order))
    assert len(keys) == len(expected) == found.count(len(runs))
    assert {run.attributes["id"] for run in runs if run_key(run.attributes["id"]) in keys} == expected


def test_runs_of_one_value_are_in_the_order_of_their_ids(index: RunIndex):
    for sort in ("python", "host", "max.steps"):
        for descending in (True, False):
            found = index.select(None, sort=sort, descending=descending)[0]
            ids = [run.attributes["id"] for run in found]
            assert ids == sorted(ids, reverse=descending)


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_index_is_made_anew(index: RunIndex, damage: bytes):
    kept = everything(index)
    index._path.write_bytes(damage)
    index.refresh()
    assert everything(index) == kept
    index._path.write_bytes(damage)
    index.rebuild()
    assert everything(index) == kept


def test_an_index_that_cannot_be_written_says_so(index: RunIndex):
    index._path.unlink()
    index._path.mkdir()
    with pytest.raises(ArgumentError, match="cannot be used"):
        index.refresh()


@given(st.datetimes(), st.integers(0, 2**32 - 1), st.datetimes(), st.integers(0, 2**32 - 1))
def test_keys_are_in_the_order_of_ids(one: dt.datetime, low: int, other: dt.datetime, high: int):
    ids = [f"{when.year:04}{when:%m%d-%H%M%S}-{number:08x}" for when, number in ((one, low), (other, high))]
    keys = [run_key(run_id) for run_id in ids]
    for when, key in zip((one, other), keys, strict=True):
        assert (key is not None) == (1970 <= when.year < 2106 or (when.year == 2106 and key is not None))
        assert key is None or -(2**63) <= key < 2**63
    if None not in keys:
        assert (ids[0] < ids[1]) == (keys[0] < keys[1])


@pytest.mark.parametrize(
    "name", ["changes", "20261301-000000-00000000", "20260101-240000-00000000", "٢٠٢٦0101-000000-00000000"]
)
def test_what_is_no_run_has_no_key(name: str):
    assert run_key(name) is None


def everything(index: RunIndex) -> list:
    return sorted(map(repr, index.select(None, limit=None)[0]))


def test_an_index_made_anew_equals_the_one_that_was_kept(index: RunIndex):
    run = afterfit.run("later", {"lr": 9.0})
    run.log(0, loss=1.0)
    index.refresh()
    assert index.select("name = later")[0][0].attributes["status"] == "running"
    run.log(1, loss=0.25)
    index.refresh()
    assert index.select("name = later")[0][0].metrics["loss"]["last"] == 0.25
    with run.child("part") as part:
        part.log(0, score=1)
    run.finish()
    index.refresh()
    kept = everything(index)
    assert len(kept) == 6
    index.rebuild()
    assert everything(index) == kept
    (index.runs / "changes").unlink()
    index.refresh()
    assert everything(index) == kept
    shutil.rmtree(run.folder)
    index.rebuild()
    assert len(everything(index)) == 5


def test_a_run_is_found_by_a_part_of_its_id(index: RunIndex):
    ids = [run.attributes["id"] for run in index.select(None, sort="id")[0]]
    assert index.find(ids[0]) == ids[0]
    assert index.find(ids[1][-8:]) == ids[1]
    assert index.find("last") in ids
    with pytest.raises(ArgumentError, match="several"):
        index.find("20")
    with pytest.raises(ArgumentError, match="no run"):
        index.find("zzz")


NAMES = st.from_regex(r"[a-z][a-z0-9_.]{0,8}", fullmatch=True).filter(
    lambda n: n not in {"and", "or", "not", "in"}
)
LEAVES = st.builds(
    Comparison,
    NAMES,
    st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~"]),
    st.tuples(
        st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.text("abc '()=", max_size=6)
    ),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(
            Combination, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple)
        )
        | st.builds(Combination, st.just("not"), st.tuples(inner))
    ),
    max_leaves=8,
)


def spelled(tree) -> str:
    if isinstance(tree, Comparison):
        value = tree.values[0]
        text = f'"{value}"' if isinstance(value, str) else repr(value).lower()
        return f"{tree.name} {tree.operator} {text}"
    if tree.operator == "not":
        return f"not ({spelled(tree.parts[0])})"
    return f" {tree.operator} ".join(f"({spelled(part)})" for part in tree.parts)


@given(TREES)
def test_what_is_spelled_is_read_back(tree):
    assert parse_filter(spelled(tree)) == tree


@given(st.text("ab1 =<>!~()'\"`,.", max_size=30))
def test_any_text_is_a_filter_or_one_clear_error(text: str):
    try:
        parse_filter(text)
    except ArgumentError as error:
        assert "filter" in str(error)


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=400), st.integers(1, 20))
def test_downsampling_keeps_extremes_ends_and_gaps(values: list[float], buckets: int):
    value = np.array(values)
    kept = downsample(value, buckets)
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= 5 * buckets
    assert kept[0] == 0
    assert kept[-1] == len(values) - 1
    finite = value[np.isfinite(value)]
    if len(finite):
        drawn = value[kept][np.isfinite(value[kept])]
        assert (drawn.min(), drawn.max()) == (finite.min(), finite.max())
    if len(finite) < len(value):
        assert not np.isfinite(value[kept]).all()
