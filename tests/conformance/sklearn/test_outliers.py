from __future__ import annotations

import pytest
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODELS = [
    IsolationForest(n_estimators=20, random_state=0),
    IsolationForest(n_estimators=20, max_features=0.4, bootstrap=True, contamination=0.1, random_state=0),
    EllipticEnvelope(random_state=0),
    EllipticEnvelope(contamination=0.2, assume_centered=True, random_state=0),
    LocalOutlierFactor(novelty=True),
    LocalOutlierFactor(5, novelty=True, metric="manhattan", contamination=0.1),
    LocalOutlierFactor(novelty=True, algorithm="brute"),
]


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("scaled", [True, False])
def test_outliers(agrees, diabetes, model, scaled):
    model = make_pipeline(StandardScaler(), model) if scaled else model
    agrees(model.fit(diabetes.X), diabetes.X, diabetes.rows, outputs=["prediction", "scores"])
