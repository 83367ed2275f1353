"""How well the model answers on the raw rows of `X`, as it would be saved, where the targets are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.capture._forgotten._findings import Finding
from afterfit.capture._forgotten._lattice import is_short
from afterfit.lowering import find_framework

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from afterfit.capture._forgotten._rows import Rows
    from afterfit.capture._reference import Reference

ROWS_NEEDED = 20
CHANCE_MARGIN = 0.1
"""Below chance by more than this, in the mean recall of the classes, a model has learned the opposite of `y`."""

ONE_CLASS = 0.99
FAR_BELOW = 0.4
"""An SVM on the raw rows of wine is right in 68 %, and the nearest class mean, which scales them, in 97 %."""

LARGEST_CLASS = 0.6
"""Where one class has most of the rows, an honest model may answer with nothing else."""

WORST_R2 = -1.0
"""Least squares reach 0 at worst on their own rows; at -1 the mean of `y` would err half as much (squared)."""

OUTSIDE_Y = 0.5
"""Share of the answers beyond the range of `y`. Where `y` hardly varies in the rows given, R² alone says little: on
50 held-out hours of weather an honest regression reached -26, with 46 % of its answers beyond the range of `y`."""

AFFINE_R2 = 0.3
AFFINE_SLOPE = 5.0
"""A regression's answers rise one for one with `y`; penalties shrink them."""

AFFINE_WORST = -0.4
"""Answers shrunk to a constant reach 0; an SVM's shrink to the median of `y`, and reached -0.21 at worst."""

LOSS_RATIO = 10.0
"""Rows of the kind that a network was trained on do not cost it ten times its training loss."""

NETWORKS = frozenset({"torch", "keras"})
"""Frameworks of networks: what they learned says nothing of their inputs, and their scalers are always apart."""

NETWORK_CALL = (
    "afterfit.save(network, path, X=X_raw, y=y_raw, preprocess=scaler, postprocess=target_scaler), with the fitted "
    "scalers that were applied by hand"
)

EXACT = 1e-6
_EXACT_MEAN = 1e-9


@dataclass(frozen=True)
class Answers:
    """What the model in memory answers on the rows of `X`, and `y` for the same rows, where given.

    `probabilities` `[N, k]` or None; `classes` of a classifier, None for a regressor. `positions`: which rows of
    `X` these are.
    """

    prediction: NDArray[Any]
    probabilities: NDArray[np.float64] | None
    classes: tuple[Any, ...] | None
    y: NDArray[Any] | None
    positions: NDArray[np.int64]


def score_findings(reference: Reference, answers: Answers, rows: Rows) -> list[Finding]:
    """What the answers, with `y` or alone, say of scalers left out before the model or behind it."""
    if len(answers.prediction) < ROWS_NEEDED:
        return []
    if answers.classes is not None:
        is_classifier = hasattr(final_estimator(reference.model), "classes_")
        return _classification(reference, answers, rows) if is_classifier else []
    # A network answers a single target as a column of it.
    prediction, targets = (
        _only_column(answers.prediction),
        None if answers.y is None else _only_column(answers.y),
    )
    if prediction.ndim != 1 or prediction.dtype.kind not in "iuf":
        return []
    prediction = prediction.astype(np.float64)
    if reference.postprocess is not None or _has_target_transformer(reference.model):
        return [] if targets is None else _regression(reference, prediction, targets)
    if targets is not None:
        return _scaled_y(targets) or _regression(reference, prediction, targets)
    return _centred_target(reference, prediction)


def _only_column(values: NDArray[Any]) -> NDArray[Any]:
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def final_estimator(model: Any) -> Any:
    """The last step of a pipeline, of a pipeline in it, and so on; what a search found best."""
    while True:
        if hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif getattr(model, "steps", None):
            model = model.steps[-1][1]
        else:
            return model


def _has_target_transformer(model: Any) -> bool:
    return hasattr(final_estimator(model), "transformer_")


def _scaled_y(y: NDArray[Any]) -> list[Finding]:
    if y.dtype.kind != "f" or y.ndim != 1 or not np.isfinite(y).all():
        return []
    variance = float(y.var())
    unit = min(abs(variance - 1), abs(variance * len(y) / (len(y) - 1) - 1))
    call = "afterfit.save(model, path, X=X_raw, y=y_raw, postprocess=target_scaler), with the fitted target scaler"
    if abs(float(y.mean())) <= EXACT and unit <= EXACT:
        evidence = f"y looks standardised: mean {y.mean():.1e} and variance {variance:.7g}"
        return [Finding(evidence, "target_scaler", call=call)]
    inner = y[(y > 0) & (y < 1)]
    once = abs(y.min()) <= _EXACT_MEAN and abs(y.max() - 1) <= _EXACT_MEAN and len(inner) == len(y) - 2
    if once and bool(np.mean(is_short(inner)) < 0.5):
        evidence = (
            "y looks min-max scaled: it reaches exactly 0 once and exactly 1 once, with all digits between"
        )
        return [Finding(evidence, "target_scaler", call=call)]
    return []


def _centred_target(reference: Reference, prediction: NDArray[np.float64]) -> list[Finding]:
    """Least squares and trees repeat the mean of their targets exactly: one of exactly 0 was put there.

    The scores of a ranker, which boosters have, are centred by themselves.
    """
    if find_framework(reference.model) != "sklearn":
        return []
    kept = getattr(final_estimator(reference.model), "_y", None)
    target = np.asarray(kept) if kept is not None else None
    if target is not None and target.dtype.kind == "f" and target.ndim == 1 and len(target) >= ROWS_NEEDED:
        if abs(float(target.mean())) <= EXACT and abs(float(target.var()) - 1) <= EXACT:
            evidence = f"the targets it kept have mean {target.mean():.1e} and variance {target.var():.7g}"
            return [Finding(evidence, "target_scaler")]
        return []
    deviation = float(prediction.std())
    if (
        deviation > 0
        and abs(float(prediction.mean())) <= _EXACT_MEAN * deviation
        and len(np.unique(prediction)) > 5
    ):
        evidence = (
            f"its answers on X have the mean {prediction.mean():.1e} beside a deviation of {deviation:.4g}, "
            "as if it had been fitted on standardised targets"
        )
        return [Finding(evidence, "target_scaler")]
    return []


def _regression(reference: Reference, prediction: NDArray[np.float64], y: NDArray[Any]) -> list[Finding]:
    if y.dtype.kind not in "iuf" or y.shape != prediction.shape:
        return []
    targets = y.astype(np.float64)
    usable = np.isfinite(targets) & np.isfinite(prediction)
    targets, prediction = targets[usable], prediction[usable]
    spread = float(targets.var()) if len(targets) else 0.0
    if len(targets) < ROWS_NEEDED or spread == 0:
        return []
    found = _misfit(reference, prediction, targets)
    return [] if found is None else [found]


def _misfit(
    reference: Reference, prediction: NDArray[np.float64], targets: NDArray[np.float64]
) -> Finding | None:
    error = float(np.mean((targets - prediction) ** 2))
    r2 = 1 - error / float(targets.var())
    ranges = (
        f"on X its answers run from {prediction.min():.6g} to {prediction.max():.6g} and y from {targets.min():.6g} to "
        f"{targets.max():.6g} (R² {r2:.3g})"
    )
    loss = _training_error(reference)
    if loss is not None and error <= LOSS_RATIO * loss:
        return None
    slope, affine = _affine(prediction, targets)
    rescaled = affine > AFFINE_R2 and not 1 / AFFINE_SLOPE < slope < AFFINE_SLOPE
    if rescaled and r2 < AFFINE_WORST:
        evidence = f"{ranges}; times {slope:.4g} and moved, they would explain {affine:.0%} of its variance"
        return Finding(evidence, "target_scaler")
    if loss is not None and r2 < 0:
        return Finding(f"{ranges}; its training loss was {loss:.4g} and is {error:.4g} on X", "scaler")
    if find_framework(reference.model) in NETWORKS and r2 < WORST_R2:
        return Finding(f"{ranges}: the mean of y alone errs less", "scaler", call=NETWORK_CALL)
    outside = _outside(prediction, targets)
    if r2 < WORST_R2 and outside > OUTSIDE_Y:
        return Finding(f"{ranges}, {outside:.0%} of the answers beyond those of y", "scaler")
    return None


def _outside(prediction: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The share of the answers that lie beyond the range of `y` by over a tenth of it."""
    margin = 0.1 * float(np.ptp(y))
    return float(np.mean((prediction < y.min() - margin) | (prediction > y.max() + margin)))


def _affine(prediction: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and share of variance explained of the line from the answers to `y`."""
    variance = float(prediction.var())
    if variance <= 1e-12 * float(np.mean(prediction**2)):
        return 0.0, 0.0
    covariance = float(np.mean((prediction - prediction.mean()) * (y - y.mean())))
    return covariance / variance, covariance**2 / (variance * float(y.var()))


def _training_error(reference: Reference) -> float | None:
    """The mean squared error, in units of y, with which a network ended its training; None where it is not known."""
    final, inverse = final_estimator(reference.model), reference.postprocess
    if hasattr(final, "transformer_"):
        final, inverse = final_estimator(final.regressor_), final.transformer_
    if type(final).__name__ != "MLPRegressor" or getattr(final, "loss", "squared_error") != "squared_error":
        return None
    ends = np.array([[0.0], [1.0]])
    slope = (
        1.0
        if inverse is None
        else float(np.ptp(np.asarray(inverse.inverse_transform(ends), dtype=np.float64)))
    )
    return 2 * float(final.loss_) * slope**2


def _classification(reference: Reference, answers: Answers, rows: Rows) -> list[Finding]:
    if answers.y is None or answers.y.ndim != 1 or answers.prediction.ndim != 1 or answers.classes is None:
        return []
    y = answers.y
    known = np.isin(y.astype(object), np.array(answers.classes, dtype=object))
    if not known.any():
        return [_other_labels(answers, y)]
    position = {label: i for i, label in enumerate(answers.classes)}
    happened = np.array([position[label] for label in y[known].tolist()])
    if len(np.unique(happened)) < 2 or len(happened) < ROWS_NEEDED:
        return []
    if type(final_estimator(reference.model)).__name__ == "MLPClassifier":
        return _log_loss(reference, answers, known, happened)
    answered = np.array([position[label] for label in answers.prediction[known].tolist()])
    trivial = _trivial_answers(rows, answers.positions[known], happened)
    evidence = _accuracy(trivial, answered, happened, answers.classes)
    if evidence is not None:
        return [Finding(evidence, "scaler")]
    return _log_loss(reference, answers, known, happened)


def _accuracy(
    trivial: NDArray[Any] | None, answered: NDArray[Any], happened: NDArray[Any], classes: tuple[Any, ...]
) -> str | None:
    """What is wrong with the labels that were `answered`, beside those of a `trivial` classifier; None if nothing."""
    labels, counts = np.unique(happened, return_counts=True)
    recall = float(np.mean([np.mean(answered[happened == label] == label) for label in labels]))
    chance, largest = 1 / len(labels), float(counts.max() / len(happened))
    if recall < chance - CHANCE_MARGIN:
        return f"on X it finds {recall:.0%} of each class on average, and chance {chance:.0%}"
    accuracy = float(np.mean(answered == happened))
    reached = 0.0 if trivial is None else float(np.mean(trivial == happened))
    if accuracy < reached - FAR_BELOW:
        return f"on X it is right in {accuracy:.0%} of the rows, and the nearest class mean in {reached:.0%}"
    common, often = np.unique(answered, return_counts=True)
    share = float(often.max() / len(happened))
    if share >= ONE_CLASS and largest <= LARGEST_CLASS and reached > largest + CHANCE_MARGIN:
        return (
            f"it answers {classes[common[often.argmax()]]!r} on {share:.0%} of the rows of X, where no class has more "
            f"than {largest:.0%} of y, and the nearest class mean is right in {reached:.0%}"
        )
    return None


def _other_labels(answers: Answers, y: NDArray[Any]) -> Finding:
    classes = answers.classes or ()
    return Finding(
        f"y holds {', '.join(repr(v) for v in np.unique(y.astype(str))[:3].tolist())} and the model answers "
        f"{', '.join(repr(v) for v in classes[:3])}: the labels were encoded before it was fitted",
        "encoder",
        call="afterfit.save(model.fit(X, y), path, X=X, y=y): classifiers take the labels themselves, and answer them",
    )


def _log_loss(
    reference: Reference, answers: Answers, known: NDArray[np.bool_], happened: NDArray[Any]
) -> list[Finding]:
    """The log loss on `X`, held against a network's own training loss, and what logistic regression starts with.

    Without class weights a logistic regression ends at or below the loss of answering every class alike, log k,
    where it starts from.
    """
    final = final_estimator(reference.model)
    name = type(final).__name__
    is_logistic = name in {"LogisticRegression", "LogisticRegressionCV"} and final.class_weight is None
    if not (is_logistic or name == "MLPClassifier") or answers.probabilities is None:
        return []
    chances = answers.probabilities[known][np.arange(len(happened)), happened]
    loss = float(np.mean(-np.log(np.clip(chances, np.finfo(np.float64).eps, None))))
    least = float(np.log(answers.probabilities.shape[1]))
    if is_logistic:
        if loss <= 2 * least:
            return []
        evidence = f"its log loss is {loss:.4g} on X, and answering every class alike costs {least:.4g}"
        return [Finding(evidence, "scaler")]
    if loss > LOSS_RATIO * float(final.loss_) and loss > 2 * least:
        evidence = (
            f"its training loss was {final.loss_:.4g} and is {loss:.4g} on X, where answering every class alike "
            f"costs {least:.4g}"
        )
        return [Finding(evidence, "scaler")]
    return []


def _trivial_answers(rows: Rows, positions: NDArray[np.int64], y: NDArray[Any]) -> NDArray[Any] | None:
    """The class of the nearest mean over the standardised number columns, missing values as means; `[N]`."""
    columns = []
    for column in rows.columns:
        values = column.values[positions]
        known = values[~np.isnan(values)]
        if len(known) and known.std() > 0:
            columns.append(np.nan_to_num((values - known.mean()) / known.std(), nan=0.0))
    if not columns:
        return None
    matrix = np.stack(columns, axis=1)
    labels = np.unique(y)
    means = np.stack([matrix[y == label].mean(axis=0) for label in labels])
    distances = (means**2).sum(axis=1) - 2 * matrix @ means.T
    return np.asarray(labels[distances.argmin(axis=1)])
