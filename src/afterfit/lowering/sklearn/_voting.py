"""Votes and stacks: several estimators asked about the same rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers, transforms
from afterfit.lowering._table import Classification, Regression, Table, concatenate, constant
from afterfit.lowering.sklearn._responses import column, columns, labels, probabilities, respond, total

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering.sklearn._responses import Answer


@lowers("sklearn.ensemble.VotingClassifier")
def lower_voting_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    """The class with most votes, or the one with the highest mean probability."""
    parts = _lower_parts(estimator, X, context)
    weights = _weights(estimator)
    if estimator.voting == "soft":
        mean = _average([probabilities(part, answer, context) for part, answer in parts], weights)
        return Classification(estimator.classes_, op.arg_max(mean, axis=1, keepdims=False), mean)
    votes = []
    for (_, answer), weight in zip(parts, weights or [1.0] * len(parts), strict=True):
        if isinstance(answer, Regression):
            raise context.refuse(estimator, "one of its estimators is a regressor")
        ballots = weight * np.eye(len(estimator.classes_))[np.asarray(answer.classes)]
        votes.append(op.gather(constant(ballots), answer.index, axis=0))
    return Classification(estimator.classes_, op.arg_max(total(votes), axis=1, keepdims=False))


@lowers("sklearn.ensemble.VotingRegressor")
def lower_voting_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The weighted mean of what the regressors say."""
    parts = _lower_parts(estimator, X, context)
    return Regression(
        _average([labels(part, answer, context) for part, answer in parts], _weights(estimator))
    )


@lowers("sklearn.ensemble.StackingClassifier")
def lower_stacking_classifier(estimator: Any, X: Table, context: Context) -> Classification:
    """The final classifier, on what the others say; it learned the positions of the classes."""
    if isinstance(estimator.classes_, list):
        raise context.refuse(
            estimator, "it gives each row several labels", "Fit one classifier for each label and save each"
        )
    answer = context.lower_predictor(
        estimator.final_estimator_, _stack(estimator, X, context), "final_estimator_"
    )
    if isinstance(answer, Regression):
        raise context.refuse(estimator, "its final estimator is a regressor")
    return replace(answer, classes=np.asarray(estimator.classes_)[np.asarray(answer.classes)])


@lowers("sklearn.ensemble.StackingRegressor")
def lower_stacking_regressor(estimator: Any, X: Table, context: Context) -> Regression:
    """The final regressor, on what the others say."""
    answer = context.lower_predictor(
        estimator.final_estimator_, _stack(estimator, X, context), "final_estimator_"
    )
    if isinstance(answer, Classification):
        raise context.refuse(estimator, "its final estimator is a classifier")
    return answer


@transforms("sklearn.ensemble.StackingClassifier", "sklearn.ensemble.StackingRegressor")
def transform_stack(estimator: Any, X: Table, context: Context) -> Table:
    return _stack(estimator, X, context)


@transforms("sklearn.ensemble.VotingClassifier")
def transform_voting_classifier(estimator: Any, X: Table, context: Context) -> Table:
    """The votes, or the probabilities of each classifier side by side."""
    parts = _lower_parts(estimator, X, context)
    if estimator.voting == "hard":
        return Table.of(
            columns([labels(part, answer, context) for part, answer in parts]), len(parts), np.int64
        )
    if not estimator.flatten_transform:
        raise context.refuse(estimator, "its transform is no table", "Set flatten_transform=True")
    shares = [probabilities(part, answer, context) for part, answer in parts]
    return Table.of(op.concat(shares, axis=1), len(parts) * len(estimator.classes_))


@transforms("sklearn.ensemble.VotingRegressor")
def transform_voting_regressor(estimator: Any, X: Table, context: Context) -> Table:
    parts = _lower_parts(estimator, X, context)
    return Table.of(columns([labels(part, answer, context) for part, answer in parts]), len(parts))


def _lower_parts(estimator: Any, X: Table, context: Context) -> list[tuple[Any, Answer]]:
    """The estimators that were not dropped, each with its answer, in their order."""
    names = (name for name, part in estimator.estimators if not isinstance(part, str))
    return [
        (part, context.lower_predictor(part, X, name))
        for name, part in zip(names, estimator.estimators_, strict=True)
    ]


def _weights(estimator: Any) -> list[float] | None:
    """The weights of the estimators that were not dropped."""
    if estimator.weights is None:
        return None
    pairs = zip(estimator.estimators, estimator.weights, strict=True)
    return [float(weight) for (_, part), weight in pairs if not isinstance(part, str)]


def _average(terms: Sequence[Var], weights: Sequence[float] | None) -> Var:
    if weights is None:
        return op.div(total(terms), constant(float(len(terms))))
    weighted = [op.mul(term, constant(weight)) for term, weight in zip(terms, weights, strict=True)]
    return op.div(total(weighted), constant(float(np.sum(weights))))


def _stack(estimator: Any, X: Table, context: Context) -> Table:
    """What the final estimator reads: the answers of the others and, with passthrough, the rows themselves."""
    tables = list(_said(estimator, X, context))
    if estimator.passthrough:
        tables.append(X.joined())
    return concatenate(tables).joined()


def _said(estimator: Any, X: Table, context: Context) -> Iterator[Table]:
    parts = _lower_parts(estimator, X, context)
    for (part, answer), method in zip(parts, estimator.stack_method_, strict=True):
        _, said = respond(part, answer, [method], context)
        if isinstance(answer, Regression):
            width = answer.targets or 1
            flat = answer.targets is None
        else:
            width = len(answer.classes)
            flat = method == "predict" or (method == "decision_function" and width == 2)
            if method == "predict_proba" and len(estimator.classes_) == 2:
                said, width, flat = op.gather(said, constant([1], np.int64), axis=1), 1, False
        yield Table.of(column(said), 1) if flat else Table.of(said, width)
