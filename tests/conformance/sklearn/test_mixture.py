from __future__ import annotations

import pytest
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize(
    "model",
    [
        GaussianMixture(3, random_state=0),
        GaussianMixture(1),
        BayesianGaussianMixture(n_components=4, random_state=0),
        BayesianGaussianMixture(
            n_components=3, weight_concentration_prior_type="dirichlet_distribution", random_state=0
        ),
    ],
    ids=str,
)
def test_mixtures(agrees, wine, model, covariance):
    pipeline = make_pipeline(StandardScaler(), model.set_params(covariance_type=covariance)).fit(wine.X)
    agrees(pipeline, wine.X, wine.rows, outputs=["prediction", "probabilities"])


def test_raw_columns(agrees, iris):
    agrees(GaussianMixture(3, random_state=0).fit(iris.X), iris.X, iris.rows)
