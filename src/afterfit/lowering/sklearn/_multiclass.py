"""Multiclass strategies: one classifier against the rest, for each pair, for each bit of a code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import Classification, Labels, Regression, Table, constant
from afterfit.lowering.sklearn._responses import (
    columns,
    labels,
    probabilities,
    repeated,
    respond,
    scores,
    second_column,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering.sklearn._responses import Answer

_Part = tuple[Any, "Answer"]


@lowers("sklearn.multiclass.OneVsRestClassifier")
def lower_one_vs_rest(estimator: Any, X: Table, context: Context) -> Classification | Labels:
    """The class whose classifier is surest; two classes share one classifier."""
    parts = _lower_parts(estimator, X, context)
    if estimator.multilabel_:
        return _each_label(estimator, parts, context)
    classes = np.asarray(estimator.classes_)
    said = [_confidence(part, answer, context) for part, answer in parts]
    if len(parts) == 1:
        index = op.cast(op.greater(said[0], constant(_threshold(parts[0]))), to=np.int64)
    else:
        index = op.arg_max(columns(said), axis=1, keepdims=False)
    decisions = _decisions(parts, context) if all(_has_scores(answer) for _, answer in parts) else None
    return Classification(classes, index, _normalized(estimator, parts, context), decisions)


@lowers("sklearn.multiclass.OneVsOneClassifier")
def lower_one_vs_one(estimator: Any, X: Table, context: Context) -> Classification:
    """The class that wins most pairs; the sum of confidences decides where several win as many."""
    if estimator.pairwise_indices_ is not None:
        raise context.refuse(estimator, "its estimators read a precomputed kernel", "Fit them on the columns")
    parts = _lower_parts(estimator, X.joined(), context)
    classes = np.asarray(estimator.classes_)
    votes: list[list[Var]] = [[] for _ in classes]
    confidences: list[list[Var]] = [[] for _ in classes]
    pairs = [(i, j) for i in range(len(classes)) for j in range(i + 1, len(classes))]
    for (part, answer), (i, j) in zip(parts, pairs, strict=True):
        label = labels(part, answer, context)
        confidence = _confidence(part, answer, context)
        confidences[i].append(op.neg(confidence))
        confidences[j].append(confidence)
        votes[i].append(op.cast(op.equal(label, constant(0.0)), to=np.float64))
        votes[j].append(op.cast(op.equal(label, constant(1.0)), to=np.float64))
    summed = columns([total(terms) for terms in confidences])
    bounded = op.div(summed, op.mul(constant(3.0), op.add(op.abs(summed), constant(1.0))))
    decisions = op.add(columns([total(terms) for terms in votes]), bounded)
    if len(classes) > 2:
        return Classification(classes, op.arg_max(decisions, axis=1, keepdims=False), None, decisions)
    decision = second_column(decisions)
    index = op.cast(op.greater(decision, constant(_threshold(parts[0]))), to=np.int64)
    return Classification(classes, index, None, decision)


@lowers("sklearn.multiclass.OutputCodeClassifier")
def lower_output_code(estimator: Any, X: Table, context: Context) -> Classification:
    """The class whose code is nearest to what the classifiers say."""
    said = columns(
        [_confidence(part, answer, context) for part, answer in _lower_parts(estimator, X, context)]
    )
    codes = np.asarray(estimator.code_book_, dtype=np.float64)
    products = op.matmul(said, constant(-2.0 * codes.T))
    distances = op.add(products, constant((codes**2).sum(axis=1)))
    return Classification(np.asarray(estimator.classes_), op.arg_min(distances, axis=1, keepdims=False))


def _each_label(estimator: Any, parts: Sequence[_Part], context: Context) -> Labels:
    """1 for each label whose classifier is sure enough, 0 for the others."""
    if estimator.label_binarizer_.sparse_input_:
        raise context.refuse(
            estimator, "it answers with a sparse matrix", "Fit it on a dense matrix of labels"
        )
    said = columns([_confidence(part, answer, context) for part, answer in parts])
    values = op.cast(op.greater(said, constant(_threshold(parts[0]))), to=np.int64)
    shares = None
    if hasattr(estimator, "predict_proba"):
        shares = columns([second_column(probabilities(part, answer, context)) for part, answer in parts])
    return Labels(values, len(parts), np.dtype(np.int64), shares)


def _lower_parts(estimator: Any, X: Table, context: Context) -> list[_Part]:
    return [
        _lower_part(part, X, f"estimators_[{i}]", context) for i, part in enumerate(estimator.estimators_)
    ]


def _lower_part(part: Any, X: Table, name: str, context: Context) -> _Part:
    """A part and its answer; where only one class was there to learn, scikit-learn has its own constant one."""
    if type(part).__name__ != "_ConstantPredictor":
        return part, context.lower_predictor(part, X, name)
    value = float(part.y_[0])
    score = repeated(value, X, context, part)
    index = op.cast(op.mul(score, constant(0.0)), to=np.int64)
    shares = repeated(np.array([1 - value, value]), X, context, part)
    return part, Classification(np.array([value]), index, shares, score)


def _confidence(part: Any, answer: Answer, context: Context) -> Var:
    """How sure the classifier is of its second class `[N]`: its decision value or else its probability."""
    if isinstance(answer, Regression):
        return answer.values
    method, said = respond(part, answer, ("decision_function", "predict_proba"), context)
    return second_column(said) if method == "predict_proba" else said


def _threshold(part: _Part) -> float:
    estimator, answer = part
    decides = isinstance(answer, Classification) and hasattr(estimator, "decision_function")
    return 0.0 if decides and type(estimator).__name__ != "_ConstantPredictor" else 0.5


def _has_scores(answer: Answer) -> bool:
    return isinstance(answer, Classification) and answer.scores is not None


def _decisions(parts: Sequence[_Part], context: Context) -> Var:
    decisions = [scores(part, answer, context) for part, answer in parts]
    return decisions[0] if len(parts) == 1 else columns(decisions)


def _normalized(estimator: Any, parts: Sequence[_Part], context: Context) -> Var | None:
    """Probabilities `[N, k]` that sum to 1, or to 0 where every classifier says 0."""
    if not hasattr(estimator, "predict_proba"):
        return None
    positive = [second_column(probabilities(part, answer, context)) for part, answer in parts]
    if len(parts) == 1:
        positive.insert(0, op.sub(constant(1.0), positive[0]))
    shares = columns(positive)
    sums = op.reduce_sum(shares, constant([1], np.int64))
    return op.where(op.equal(sums, constant(0.0)), shares, op.div(shares, sums))
