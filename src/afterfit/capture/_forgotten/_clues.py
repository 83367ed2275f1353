"""What estimators remember of the rows they were fitted on, read from their fitted attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.lowering import public_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from afterfit.lowering import Context

IQR_OF_NORMAL = 1.3489795003921634
"""The interquartile range of a normal distribution of standard deviation 1."""

DROWNED = 1e-9
"""Below this share of what was added to it, a variance has lost half of its digits."""


@dataclass(frozen=True)
class Points:
    """Points `[k, w]` that lie within the range of the training rows, such as support vectors or centres.

    `covers`: they also reach its ends, as all training rows together do. `decimals`: where the training rows are
    decimals of few places, so are they, being values of these rows or halfway between two.
    """

    values: NDArray[np.float64]
    covers: bool
    what: str
    decimals: bool = False


@dataclass(frozen=True)
class Moments:
    """Mean `[w]` of the training rows, and their standard deviation `[w]` where it is known."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64] | None
    what: str


@dataclass(frozen=True)
class Clue:
    """What `estimator` remembers of the column at `column` of `X`: `points` or `mean` and `deviation`."""

    estimator: str
    what: str
    column: int
    points: NDArray[np.float64] | None = None
    covers: bool = False
    decimals: bool = False
    mean: float | None = None
    deviation: float | None = None


def clues(context: Context) -> Iterator[Clue]:
    """The clues of all estimators that receive raw columns, as they were sent."""
    for step in context.steps:
        reader = _READERS.get(public_name(step.estimator))
        if reader is None:
            continue
        memory = reader(step.estimator)
        origins = step.received.origins
        if memory is None or _width(memory) != len(origins):
            continue
        for i, origin in enumerate(origins):
            if origin is not None and origin.verbatim:
                yield _clue(type(step.estimator).__name__, memory, i, origin.column)
    halfway = not any(_splits_anywhere(step.estimator) for step in context.steps)
    for group in context.thresholds:
        if group.verbatim and group.learned:
            yield Clue("trees", "its trees split {} between", group.column, group.values, decimals=halfway)


def _splits_anywhere(estimator: Any) -> bool:
    """Whether it may note thresholds that are not halfway between two values of the training rows."""
    name = public_name(estimator)
    return not name.startswith("sklearn.") or name.rpartition(".")[2] in _DRAWN


_DRAWN = {
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "IsolationForest",
    "RandomTreesEmbedding",
    "KBinsDiscretizer",
    "Binarizer",
}


def _width(memory: Points | Moments) -> int:
    return memory.values.shape[1] if isinstance(memory, Points) else len(memory.mean)


def _clue(estimator: str, memory: Points | Moments, i: int, column: int) -> Clue:
    if isinstance(memory, Points):
        values = memory.values[:, i]
        return Clue(
            estimator, memory.what, column, values[np.isfinite(values)], memory.covers, memory.decimals
        )
    deviation = None if memory.deviation is None else float(memory.deviation[i])
    return Clue(estimator, memory.what, column, mean=float(memory.mean[i]), deviation=deviation)


def _points(
    *attributes: str, covers: bool, what: str, decimals: bool = False
) -> Callable[[Any], Points | None]:
    """Rows `[k, w]` or single values a column `[w]`, from the first estimator's `attributes` stacked."""

    def read(estimator: Any) -> Points | None:
        parts = [np.asarray(getattr(estimator, name, None)) for name in attributes]
        if any(part.dtype.kind not in "iufb" or part.ndim == 0 for part in parts):
            return None
        rows = np.vstack([np.atleast_2d(part) for part in parts]).astype(np.float64)
        return Points(rows, covers, what, decimals)

    return read


def _max_abs(estimator: Any) -> Points:
    return Points(
        np.stack([-estimator.max_abs_, estimator.max_abs_]).astype(np.float64),
        covers=True,
        what="its max_abs_ puts {} between",
    )


def _bins(estimator: Any) -> Points:
    ends = [[edges[0], edges[-1]] for edges in estimator.bin_edges_]
    return Points(np.array(ends, dtype=np.float64).T, covers=True, what="its bins of {} run between")


def _isotonic(estimator: Any) -> Points:
    ends = np.array([[estimator.X_min_], [estimator.X_max_]], dtype=np.float64)
    return Points(ends, covers=True, what="it was fitted on {} between")


def _fill_values(estimator: Any) -> Points | None:
    if estimator.strategy == "constant" or np.asarray(estimator.statistics_).dtype.kind != "f":
        return None
    return Points(np.atleast_2d(estimator.statistics_), covers=False, what="it fills {} with a value between")


def _standard(estimator: Any) -> Moments | None:
    if estimator.mean_ is None:
        return None
    deviation = None if estimator.var_ is None else np.sqrt(estimator.var_)
    return Moments(np.asarray(estimator.mean_), deviation, "its mean_ and var_")


def _robust(estimator: Any) -> Moments | None:
    if (
        estimator.center_ is None
        or estimator.scale_ is None
        or tuple(estimator.quantile_range) != (25.0, 75.0)
    ):
        return None
    scale = np.asarray(estimator.scale_) / (1 if estimator.unit_variance else IQR_OF_NORMAL)
    return Moments(np.asarray(estimator.center_), scale, "its center_ and scale_")


def _covariance(estimator: Any) -> Moments:
    return Moments(
        np.asarray(estimator.mean_),
        np.sqrt(np.clip(np.diag(estimator.get_covariance()), 0, None)),
        "its mean_ and the variance of its components",
    )


def _naive_bayes(estimator: Any) -> Moments:
    weights = estimator.class_count_ / estimator.class_count_.sum()
    mean = weights @ estimator.theta_
    # epsilon_, a share of the largest variance of any column, was added to all of them; where it drowns the column's
    # own, what is left is rounding, and 0 stands for nothing known.
    variance = weights @ (estimator.var_ - estimator.epsilon_ + (estimator.theta_ - mean) ** 2)
    variance = np.where(variance > DROWNED * estimator.epsilon_, variance, 0.0)
    return Moments(mean, np.sqrt(variance), "the theta_ and var_ of its classes together")


def _kernel_rows(estimator: Any) -> Points | None:
    """Of a kernel that was computed beforehand it keeps the centred values, which lie elsewhere."""
    if estimator.kernel == "precomputed":
        return None
    return _points("X_fit_", covers=True, what=_KEPT, decimals=True)(estimator)


def _mean(attribute: str) -> Callable[[Any], Moments | None]:
    def read(estimator: Any) -> Moments | None:
        mean = getattr(estimator, attribute, None)
        return (
            None
            if mean is None or np.ndim(mean) != 1
            else Moments(np.asarray(mean), None, f"its {attribute}")
        )

    return read


def _class_means(estimator: Any) -> Moments:
    return Moments(estimator.priors_ @ estimator.means_, None, "the means_ of its classes")


def _mixture(estimator: Any) -> Moments:
    return Moments(estimator.weights_ @ estimator.means_, None, "the means_ of its components")


def _partial_least_squares(estimator: Any) -> Moments | None:
    mean, deviation = getattr(estimator, "_x_mean", None), getattr(estimator, "_x_std", None)
    if mean is None:
        return None
    return Moments(
        np.asarray(mean), deviation if estimator.scale else None, "its mean and deviation of the columns"
    )


def _location(estimator: Any) -> Moments:
    return Moments(
        estimator.location_, np.sqrt(np.diag(estimator.covariance_)), "its location_ and covariance_"
    )


_KEPT = "the rows it kept have {} between"
_CENTRES = "its centres have {} between"
_VECTORS = "its support vectors have {} between"

_READERS: dict[str, Callable[[Any], Points | Moments | None]] = {
    "sklearn.preprocessing.StandardScaler": _standard,
    "sklearn.preprocessing.RobustScaler": _robust,
    "sklearn.preprocessing.MinMaxScaler": _points(
        "data_min_",
        "data_max_",
        covers=True,
        what="its data_min_ and data_max_ put {} between",
        decimals=True,
    ),
    "sklearn.preprocessing.MaxAbsScaler": _max_abs,
    "sklearn.preprocessing.QuantileTransformer": _points(
        "quantiles_", covers=True, what="its quantiles_ put {} between"
    ),
    "sklearn.preprocessing.KBinsDiscretizer": _bins,
    "sklearn.impute.SimpleImputer": _fill_values,
    "sklearn.impute.KNNImputer": _points("_fit_X", covers=True, what=_KEPT, decimals=True),
    "sklearn.isotonic.IsotonicRegression": _isotonic,
    "sklearn.decomposition.PCA": _mean("mean_"),
    "sklearn.decomposition.IncrementalPCA": _mean("mean_"),
    "sklearn.decomposition.FactorAnalysis": _covariance,
    "sklearn.decomposition.FastICA": _mean("mean_"),
    "sklearn.naive_bayes.GaussianNB": _naive_bayes,
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": _class_means,
    "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis": _class_means,
    "sklearn.linear_model.BayesianRidge": _mean("X_offset_"),
    "sklearn.linear_model.ARDRegression": _mean("X_offset_"),
    "sklearn.covariance.EllipticEnvelope": _location,
    "sklearn.mixture.GaussianMixture": _mixture,
    "sklearn.mixture.BayesianGaussianMixture": _mixture,
    "sklearn.cross_decomposition.PLSRegression": _partial_least_squares,
    "sklearn.cross_decomposition.PLSCanonical": _partial_least_squares,
    "sklearn.cross_decomposition.CCA": _partial_least_squares,
}
for _name in (
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "RadiusNeighborsClassifier",
    "RadiusNeighborsRegressor",
):
    _READERS[f"sklearn.neighbors.{_name}"] = _points("_fit_X", covers=True, what=_KEPT, decimals=True)
_READERS["sklearn.neighbors.LocalOutlierFactor"] = _points("_fit_X", covers=True, what=_KEPT, decimals=True)
_READERS["sklearn.neighbors.NearestCentroid"] = _points("centroids_", covers=False, what=_CENTRES)
for _name in ("SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM"):
    _READERS[f"sklearn.svm.{_name}"] = _points("support_vectors_", covers=False, what=_VECTORS, decimals=True)
for _name in ("KMeans", "MiniBatchKMeans", "BisectingKMeans", "MeanShift", "AffinityPropagation"):
    _READERS[f"sklearn.cluster.{_name}"] = _points("cluster_centers_", covers=False, what=_CENTRES)
_READERS["sklearn.cluster.Birch"] = _points("subcluster_centers_", covers=False, what=_CENTRES)
for _name in ("LabelPropagation", "LabelSpreading"):
    _READERS[f"sklearn.semi_supervised.{_name}"] = _points("X_", covers=True, what=_KEPT, decimals=True)
for _name in ("GaussianProcessClassifier", "GaussianProcessRegressor"):
    _READERS[f"sklearn.gaussian_process.{_name}"] = _points(
        "X_train_", covers=True, what=_KEPT, decimals=True
    )
_READERS["sklearn.kernel_ridge.KernelRidge"] = _points("X_fit_", covers=True, what=_KEPT, decimals=True)
_READERS["sklearn.decomposition.KernelPCA"] = _kernel_rows
_READERS["sklearn.kernel_approximation.Nystroem"] = _points(
    "components_", covers=False, what=_KEPT, decimals=True
)
