"""Estimators that both predict and transform."""

from __future__ import annotations

import numpy as np
import pytest

from afterfit.errors import ArgumentError, UnsupportedModelError
from afterfit.lowering import Block, Context, RawColumn, Regression, Table, constant, lowers, transforms
from afterfit.lowering import _registry as registry


class Both:
    pass


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LOWERINGS", {})
    monkeypatch.setattr(registry, "_TRANSFORMATIONS", {})


def public(cls: type) -> str:
    return registry.public_name(cls())


def table() -> Table:
    return Table((Block.of(constant([[1.0]]), 1),))


def test_where_it_stands_decides_what_is_lowered():
    lowers(public(Both))(lambda estimator, X, context: Regression(constant([0.0])))
    transforms(public(Both))(lambda estimator, X, context: X)
    context = Context([RawColumn("x", np.dtype(np.float64))])
    assert isinstance(context.lower(Both(), table()), Regression)
    assert isinstance(context.lower_predictor(Both(), table()), Regression)
    assert isinstance(context.lower_transformer(Both(), table()), Table)
    assert registry.registered().count(public(Both)) == 1


def test_what_only_predicts_is_no_transformer():
    lowers(public(Both))(lambda estimator, X, context: Regression(constant([0.0])))
    with pytest.raises(UnsupportedModelError, match="transformer is expected"):
        Context([]).lower_transformer(Both(), table())


def test_the_same_function_may_be_registered_again_and_another_may_not():
    def lower(estimator, X, context):
        return X

    def other(estimator, X, context):
        return X

    lowers(public(Both))(lower)
    lowers(public(Both))(lower)
    with pytest.raises(ValueError, match="already"):
        lowers(public(Both))(other)


@pytest.mark.parametrize("names", [(), (Both,), ("Both",)], ids=["none", "class", "no package"])
def test_what_is_no_name_of_a_class_is_an_argument_error(names):
    with pytest.raises(ArgumentError, match=r"package\.Class"):
        lowers(*names)
