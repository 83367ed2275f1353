"""Whether a bundle can take the place of another, and in what two differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from afterfit.bundle import Bundle, encode_json, read_bundle
from afterfit.promotion import compare_bundles, incompatibilities
from afterfit.schema import Bounds, Categories


@pytest.fixture(scope="module")
def bundle(hand_bundle) -> Bundle:
    return read_bundle(hand_bundle)


def with_column(bundle: Bundle, name: str, **change: Any) -> Bundle:
    columns = tuple(
        msgspec.structs.replace(column, **change) if column.name == name else column
        for column in bundle.schema.columns
    )
    return replace(bundle, schema=msgspec.structs.replace(bundle.schema, columns=columns))


def without_column(bundle: Bundle, name: str) -> Bundle:
    columns = tuple(column for column in bundle.schema.columns if column.name != name)
    return replace(bundle, schema=msgspec.structs.replace(bundle.schema, columns=columns))


def with_output(bundle: Bundle, of: str, **change: Any) -> Bundle:
    outputs = tuple(
        msgspec.structs.replace(output, **change) if output.name == of else output
        for output in bundle.schema.outputs
    )
    return replace(bundle, schema=msgspec.structs.replace(bundle.schema, outputs=outputs))


def with_manifest(bundle: Bundle, **change: Any) -> Bundle:
    return replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, **change))


def closed(*values: str) -> Categories:
    return Categories(values=values, open=False)


def test_a_bundle_can_take_its_own_place(bundle):
    assert incompatibilities(bundle, bundle) == []
    assert compare_bundles(bundle, bundle) == []


WIDER = [
    ("visits", {"type": "float"}),
    ("member", {"nullable": True}),
    ("amount (€)", {"range": (-5.0, 5.0), "example": 1.0}),
    ("note", {"type": "float"}),
    ("account", {"input": None, "position": None}),
]


@pytest.mark.parametrize(
    ("name", "change"), WIDER, ids=[f"{name}-{'-'.join(change)}" for name, change in WIDER]
)
def test_what_takes_more_is_compatible(bundle, name, change):
    assert incompatibilities(bundle, with_column(bundle, name, **change)) == []


NARROWER = [
    ("amount (€)", {"type": "integer"}, "was float and is integer"),
    ("amount (€)", {"nullable": False}, "could be missing"),
    ("code", {"categories": closed("001")}, "took any value"),
    ("amount (€)", {"bounds": Bounds(exclusive_minimum=0.0)}, "must now be"),
    ("note", {"input": "number", "position": 2, "type": "float"}, "was not read"),
    ("member", {"type": "string"}, "was boolean and is string"),
]


@pytest.mark.parametrize(
    ("name", "change", "why"), NARROWER, ids=[f"{name}-{'-'.join(change)}" for name, change, _ in NARROWER]
)
def test_what_takes_less_is_not(bundle, name, change, why):
    found = incompatibilities(bundle, with_column(bundle, name, **change))
    assert len(found) == 1
    assert why in found[0]
    assert repr(name) in found[0]


def test_categories_and_bounds_compare_by_what_they_admit(bundle):
    old = with_column(bundle, "code", categories=closed("a", "b"))
    assert incompatibilities(old, with_column(bundle, "code", categories=closed("b", "a", "c"))) == []
    assert (
        "no longer takes 'a'"
        in incompatibilities(old, with_column(bundle, "code", categories=closed("b")))[0]
    )
    bounded = with_column(bundle, "amount (€)", bounds=Bounds(minimum=0.0, maximum=5.0))
    assert incompatibilities(bounded, bundle) == []
    assert incompatibilities(bounded, with_column(bundle, "amount (€)", bounds=Bounds(minimum=-1.0))) == []
    assert incompatibilities(bounded, with_column(bundle, "amount (€)", bounds=Bounds(maximum=4.0)))


def test_columns_and_answers_that_come_and_go(bundle):
    fewer = without_column(bundle, "code")
    assert incompatibilities(bundle, fewer) == ["the column 'code' is no longer known"]
    assert incompatibilities(fewer, bundle) == ["the new column 'code' must be sent"]
    assert incompatibilities(without_column(bundle, "note"), bundle) == []
    for change in (
        with_output(bundle, "prediction", classes=("yes", "no")),
        with_output(bundle, "probabilities", shape=(-1, 3)),
        with_output(bundle, "probabilities", name="scores"),
        with_manifest(bundle, task="regression"),
        with_manifest(bundle, name="other"),
        with_manifest(bundle, entry_points={"predict": "prediction"}),
    ):
        assert incompatibilities(bundle, change)


@pytest.mark.parametrize(
    ("old", "new", "takes"),
    [
        (None, None, True),
        ((3, 2), (3, 2), True),
        ((3, 2), (-1, 2), True),
        ((-1, 2), (-1, 2), True),
        ((-1, 2), (3, 2), False),
        ((3, 2), (3, 4), False),
        ((3,), (3, 2), False),
        (None, (3,), False),
        ((3,), None, False),
    ],
)
def test_shapes_compare_by_what_they_admit(bundle, old, new, takes):
    before, after = (with_column(bundle, "amount (€)", shape=shape) for shape in (old, new))
    assert (incompatibilities(before, after) == []) is takes


def test_lengths_of_texts_and_frequencies_are_compared(bundle):
    def profiled(mean: float, count: int) -> Bundle:
        columns = {
            "text": {
                "count": 3,
                "missing": 0,
                "distinct": 3,
                "characters": {"mean": mean, "standard_deviation": 2.0},
            },
            "code": {
                "count": 4,
                "missing": 0,
                "distinct": 2,
                "values": [{"value": "a", "count": count}, {"value": "b", "count": 4 - count}],
            },
        }
        entries = {**bundle.entries, "profile.json": encode_json({"rows": 4, "columns": columns})}
        return replace(bundle, entries=entries)

    found = {one.what: one.note for one in compare_bundles(profiled(5.0, 1), profiled(6.0, 3))}
    assert found == {
        "text: characters: mean": "+0.5 standard deviations",
        "code: values": "total variation 0.5",
    }


def test_a_difference_is_told_part_by_part(bundle):
    entries = {
        **bundle.entries,
        "training/params.json": encode_json({"C": 2.0}),
        "training/metrics.json": encode_json({"auc": 0.75}),
        "environment.json": encode_json({"python": "3.12", "packages": {"numpy": "2.4.6"}}),
        "profile.json": encode_json({"rows": 1, "columns": {}}),
    }
    other = with_column(replace(bundle, entries=entries), "visits", nullable=False)
    found = {(one.part, one.what): one for one in compare_bundles(bundle, other)}
    assert found["schema", "column visits: nullable"].after is False
    assert (found["parameters", "C"].before, found["parameters", "C"].after) == (None, 2.0)
    assert found["metrics", "auc"].note == "+0.25"
    assert found["metrics", "loss"].after is None
    assert found["environment", "python"].after == "3.12"
    assert ("environment", "packages.numpy") not in found
    assert found["distribution", "profile"].after == "there"


def test_answers_to_the_golden_rows_of_both_are_compared(tmp_path):
    np = pytest.importorskip("numpy")
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    import afterfit

    X = np.arange(20.0).reshape(-1, 1)
    bundles = []
    for slope in (2, 3):
        path = tmp_path / f"{slope}.afit"
        afterfit.save(linear_model.LinearRegression().fit(X, slope * X[:, 0]), path, X=X + slope, name="line")
        bundles.append(read_bundle(path))
    found = {(one.part, one.what): one for one in compare_bundles(*bundles)}
    answer = found["golden answers", "prediction"]
    assert answer.after == pytest.approx(1.5 * answer.before)
    shift = found["distribution", "x0: mean"]
    assert shift.after - shift.before == pytest.approx(1.0)
    assert shift.note == f"{1 / X.std():+.3g} standard deviations"
