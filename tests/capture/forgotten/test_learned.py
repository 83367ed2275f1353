"""What each family remembers of its training rows speaks against rows of another scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import Birch, BisectingKMeans, KMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA, FactorAnalysis, FastICA, IncrementalPCA, KernelPCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import ARDRegression, BayesianRidge, LinearRegression
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from afterfit.capture._forgotten import value_findings
from afterfit.capture._graph import lower_model
from afterfit.capture._reference import Reference
from afterfit.schema import Schema, infer_table, pack_table

FAMILIES = [
    StandardScaler(),
    MinMaxScaler(),
    MaxAbsScaler(),
    RobustScaler(),
    QuantileTransformer(n_quantiles=50),
    KBinsDiscretizer(3, quantile_method="linear"),
    PCA(2),
    IncrementalPCA(2),
    FactorAnalysis(2),
    FastICA(2, max_iter=1000),
    KernelPCA(2),
    Nystroem(n_components=20),
    GaussianNB(),
    LinearDiscriminantAnalysis(),
    QuadraticDiscriminantAnalysis(),
    KNeighborsClassifier(),
    NearestCentroid(),
    LocalOutlierFactor(novelty=True),
    SVC(),
    OneClassSVM(),
    KMeans(4, n_init=1),
    BisectingKMeans(4),
    Birch(threshold=0.1),
    GaussianMixture(2),
    DecisionTreeClassifier(),
    RandomForestClassifier(5),
    ExtraTreesClassifier(5),
    GradientBoostingClassifier(n_estimators=5),
    HistGradientBoostingClassifier(max_iter=5),
    IsolationForest(n_estimators=5),
]
REGRESSORS = [
    LinearRegression(),
    BayesianRidge(),
    ARDRegression(),
    PLSRegression(2),
    KernelRidge(kernel="rbf"),
    GaussianProcessRegressor(RBF() + WhiteKernel(), optimizer=None),
]


def name(estimator: object) -> str:
    return type(estimator).__name__


def evidence(model, X, y=None) -> list[str]:
    """The evidence of all rules about values."""
    table = infer_table(X)
    reference = Reference(model)
    lowered = lower_model(reference, table)
    packed = pack_table(Schema(columns=lowered.columns, outputs=lowered.outputs), X)
    return [finding.evidence for finding in value_findings(reference, lowered, packed, X, y)]


def seeded(estimator):
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    return estimator


@pytest.mark.parametrize("estimator", FAMILIES, ids=name)
def test_a_family_fitted_on_scaled_numbers(estimator, raw, label):
    fitted = seeded(estimator).fit(StandardScaler().fit_transform(raw), label)
    assert evidence(fitted, raw)


@pytest.mark.parametrize("estimator", FAMILIES, ids=name)
def test_the_family_fitted_on_the_raw_numbers(estimator, raw, label):
    half = raw.iloc[::2].reset_index(drop=True)
    fitted = seeded(estimator).fit(raw.iloc[1::2], label[1::2])
    assert evidence(fitted, half) == []
    assert evidence(fitted, half.head(10)) == []


@pytest.mark.parametrize("estimator", REGRESSORS, ids=name)
def test_regressors(estimator, raw, target):
    half = raw.iloc[::2].reset_index(drop=True)
    fitted = estimator.fit(StandardScaler().fit_transform(raw), target)
    assert evidence(fitted, raw)
    fitted = estimator.fit(raw.iloc[1::2], target[1::2])
    assert evidence(fitted, half, target[::2] if hasattr(fitted, "coef_") else None) == []


@pytest.mark.parametrize("smoothing", [1e-9, 1e-3, 0.1])
def test_what_naive_bayes_adds_to_all_variances_is_no_deviation(smoothing, raw, label):
    """Of a column of small numbers `epsilon_` is nearly all of `var_`, or drowns it."""
    small = raw.assign(share=raw["height"] / 1e5, tiny=raw["height"] / 1e12)
    assert evidence(GaussianNB(var_smoothing=smoothing).fit(small, label), small) == []
    scaled = GaussianNB(var_smoothing=smoothing).fit(StandardScaler().fit_transform(small), label)
    assert evidence(scaled, small)


def test_the_centred_kernel_that_kernel_pca_keeps_is_no_row_of_x(raw):
    rows = StandardScaler().fit_transform(raw)
    kernel = pd.DataFrame(np.exp(-((rows[:, None] - rows[None, :40]) ** 2).sum(axis=2)) + 3)
    kernel.columns = [f"x{i}" for i in range(40)]
    model = KernelPCA(2, kernel="precomputed").fit(kernel[:40])
    assert evidence(model, kernel) == []


def test_a_first_step_inside_a_pipeline_fitted_on_other_numbers(raw, label, refusal):
    scaled = pd.DataFrame(MinMaxScaler().fit_transform(raw), columns=list(raw))
    model = make_pipeline(StandardScaler(), KNeighborsClassifier()).fit(scaled, label)
    error = refusal(model, raw)
    assert "its mean_ and var_ say mean" in error.evidence[0]
    assert error.silenced_by == "raw_inputs=True"


def test_kept_rows_elsewhere_are_a_contradiction(raw, label, refusal):
    model = KNeighborsClassifier().fit(MinMaxScaler().fit_transform(raw), label)
    error = refusal(model, raw, raw_inputs=True)
    assert "the rows it kept have 'income' between 0 and 1, and in X it runs from" in error.evidence[0]
    assert "(so in 3 of 3 columns)" in error.evidence[0]
    assert error.call.startswith("afterfit.save(model, path, X=X_raw, preprocess=scaler)")
    assert error.silenced_by is None


def test_one_column_that_moved_with_time_is_no_evidence(raw, label):
    fitted = KNeighborsClassifier().fit(raw.to_numpy(), label)
    assert evidence(fitted, raw.assign(income=raw["income"] * 30)) == []
