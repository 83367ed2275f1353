"""The forgotten scaler: a Keras network fitted on scaled features and a scaled target, and saved.

Run it with `KERAS_BACKEND=torch python examples/forgotten_scaler.py`. The data are the 442 patients of
scikit-learn's diabetes data in their own units: age in years, blood pressure in mm Hg, and as the target how far the
disease had gone a year later, from 25 to 346.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import MinMaxScaler

import afterfit


def main(folder: Path) -> None:
    keras.utils.set_random_seed(0)
    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    features = MinMaxScaler().fit(X)
    target = MinMaxScaler().fit(y.to_numpy().reshape(-1, 1))

    network = keras.Sequential(
        [keras.Input((X.shape[1],)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1)]
    )
    network.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    history = network.fit(
        features.transform(X),
        target.transform(y.to_numpy().reshape(-1, 1)),
        validation_split=0.2,
        epochs=30,
        verbose=0,
    )

    try:
        afterfit.save(network, folder / "alone.afit", X=X, y=y)
    except afterfit.ForgottenPreprocessingError as error:
        print("The network alone is refused:", error)
    else:
        raise AssertionError("the network alone must be refused")

    path = folder / "diabetes.afit"
    afterfit.save(network, path, X=X, y=y, preprocess=features, postprocess=target, history=history)

    # Another process, which cannot even import Keras, torch or scikit-learn, answers in the user's units.
    X.head(5).to_json(folder / "rows.json", orient="records")
    program = (
        "import json, sys\n"
        "for name in ('keras', 'torch', 'sklearn'):\n"
        "    sys.modules[name] = None\n"
        "import afterfit\n"
        "model = afterfit.load(sys.argv[1])\n"
        "print(json.dumps(model.predict(json.load(open(sys.argv[2]))).ravel().tolist()))\n"
    )
    answered = subprocess.run(
        [sys.executable, "-c", program, str(path), str(folder / "rows.json")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    by_hand = target.inverse_transform(network.predict(features.transform(X.head(5)), verbose=0))
    print("Answers from the file:", answered.strip())
    print("Answers by hand:      ", by_hand.ravel().tolist())
    np.testing.assert_allclose(json.loads(answered), by_hand.ravel(), rtol=1e-5)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
