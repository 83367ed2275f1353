"""Answers on the raw rows against y: scalers left out before the model or behind it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, MinMaxScaler, StandardScaler
from sklearn.svm import SVC


def network(kind, **options):
    return kind(hidden_layer_sizes=(8,), solver="lbfgs", max_iter=2000, random_state=0, **options)


@pytest.mark.parametrize("model", [Ridge(), network(MLPRegressor)], ids=["ridge", "network"])
def test_a_regression_without_its_scaler(model, raw, target, refusal, saved):
    scaler = StandardScaler().fit(raw)
    model.fit(scaler.transform(raw), target)
    error = refusal(model, raw, y=target)
    assert "on X its answers run from" in error.evidence[0]
    assert error.silenced_by == "raw_inputs=True"
    assert saved(model, raw, y=target, raw_inputs=True).verify().ok
    assert saved(model, raw, y=target, preprocess=scaler).verify().ok


@pytest.mark.parametrize("scaler_class", [StandardScaler, MinMaxScaler])
@pytest.mark.parametrize(
    "model",
    [LinearRegression(), KNeighborsRegressor(), RandomForestRegressor(5, random_state=0)],
    ids=lambda model: type(model).__name__,
)
def test_a_target_scaler(model, scaler_class, raw, target, refusal, saved):
    scaler = scaler_class().fit(target[:, None])
    model.fit(raw, scaler.transform(target[:, None])[:, 0])
    error = refusal(model, raw, y=target)
    assert "they would explain" in error.evidence[0]
    assert error.call == (
        "afterfit.save(model, path, X=X_raw, postprocess=target_scaler), with the fitted target scaler"
    )
    assert saved(model, raw, y=target, postprocess=scaler).verify().ok


@pytest.mark.parametrize("scaler_class", [StandardScaler, MinMaxScaler])
def test_a_target_given_scaled(scaler_class, raw, target, refusal):
    noisy = target + np.random.default_rng(8).normal(0, 1, len(target))
    scaled = scaler_class().fit_transform(noisy[:, None])[:, 0]
    error = refusal(Ridge().fit(raw, scaled), raw, y=scaled)
    assert "y looks" in error.evidence[0]
    assert "y=y_raw, postprocess=target_scaler" in error.call


@pytest.mark.parametrize(
    "model", [LinearRegression(), GradientBoostingRegressor(n_estimators=5), KNeighborsRegressor()], ids=repr
)
def test_a_standardised_target_without_y(model, raw, target, refusal, saved):
    scaled = StandardScaler().fit_transform(target[:, None])[:, 0]
    assert "postprocess=target_scaler" in refusal(model.fit(raw, scaled), raw).call
    assert saved(model.fit(raw, target), raw).verify().ok
    wrapped = TransformedTargetRegressor(model, transformer=StandardScaler()).fit(raw, target)
    assert saved(wrapped, raw, y=target).verify().ok


def test_a_network_that_never_learned_is_honest(raw, target, saved):
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0).fit(raw / 1000, target)
    error = np.mean((model.predict(raw / 1000) - target) ** 2)
    assert error > 2 * target.var()
    assert saved(model, raw / 1000, y=target).verify().ok


@pytest.mark.parametrize(
    "model", [LogisticRegression(), SVC(), network(MLPClassifier)], ids=lambda model: type(model).__name__
)
def test_a_classifier_without_its_scaler(model, raw, label, refusal, saved):
    scaler = StandardScaler().fit(raw)
    model.fit(scaler.transform(raw), label)
    assert "preprocess=scaler" in refusal(model, raw, y=label).call
    assert saved(model, raw, y=label, preprocess=scaler).verify().ok
    piped = make_pipeline(StandardScaler(), model).fit(raw, label)
    assert saved(piped, raw, y=label).verify().ok


def test_labels_that_were_encoded(raw, label, refusal, saved):
    codes = LabelEncoder().fit_transform(label)
    model = LogisticRegression(max_iter=5000).fit(raw, codes)
    error = refusal(model, raw, y=label)
    assert "y holds 'no', 'yes' and the model answers 0, 1" in error.evidence[0]
    assert "model.fit(X, y)" in error.call
    assert saved(model, raw, y=codes).verify().ok


def test_the_largest_class_alone_is_an_honest_answer(raw, saved):
    rare = np.arange(len(raw)) % 20 == 0
    assert saved(DummyClassifier().fit(raw, rare), raw, y=rare).verify().ok


@pytest.mark.parametrize("kind", [float, bool, np.int8])
def test_labels_of_another_kind_of_number_are_the_same_labels(kind, raw, label, saved):
    codes = (label == "yes").astype(int)
    model = LogisticRegression(max_iter=5000).fit(raw, codes)
    assert saved(model, raw, y=codes.astype(kind)).verify().ok


def test_targets_that_hardly_vary_in_the_rows_given(raw, target, saved):
    model = LinearRegression().fit(raw, target)
    middle = np.abs(target - np.median(target)) < target.std() / 8
    residual = target[middle] - model.predict(raw[middle])
    assert 1 - np.mean(residual**2) / target[middle].var() < 0.5
    assert saved(model, raw[middle].reset_index(drop=True), y=target[middle]).verify().ok
