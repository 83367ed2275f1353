"""Chromium from the system's packages, a server with models of every kind, and pages that are watched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

import afterfit

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HOSTILE_NAMES = (
    "<img src=x onerror=alert(1)>",
    "\"quoted' & </label><script>alert(2)</script>",
    "duck 🦆 {static}",
    "__proto__",
    "constructor",
)
HOSTILE_VALUES = (
    "<img src=x onerror=alert(3)>",
    "a\"b'c,d;e",
    "🦆\n🦆",
    "",
    " ",
    "None",
    "</option><script>alert(4)</script>",
)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            # One browser and one server for all of them.
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="module")
def chromium():
    """A browser. It holds the event loop of this thread, which other tests need, so that it ends with each module."""
    playwright = pytest.importorskip("playwright.sync_api", reason='needs pip install "afterfit[test-pages]"')
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("needs chromium: apt-get install chromium")
    # Root has no sandbox, as in containers.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory, hand_bundle):
    """Bundles by the name of their model."""
    folder = tmp_path_factory.mktemp("pages")
    paths = {"by hand": hand_bundle}
    for name, save in {
        "flights": save_flights,
        "wine": save_wine,
        "hostile": save_hostile,
        "texts": save_texts,
        "tensor": write_tensor,
        "scaler": save_scaler,
        "wide": write_wide,
    }.items():
        paths[name] = folder / f"{name}.afit"
        save(paths[name])
    return {
        name: SimpleNamespace(path=path, model=afterfit.load(path, threads=1)) for name, path in paths.items()
    }


@pytest.fixture(scope="session")
def server(models):
    """The URL of `afterfit serve` with all of them."""
    with running(*(one.path for one in models.values())) as url:
        yield url


@pytest.fixture(scope="session")
def one_model(models):
    """The URL of a server with the flights alone, of small limits."""
    with running(models["flights"].path, "--max-rows", "40") as url:
        yield url


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory, models):
    """The URL of a server with two versions of a model, and these, the older one first."""
    path = tmp_path_factory.mktemp("versions") / "wine.afit"
    save_wine(path, C=0.1)
    older, newer = afterfit.load(path, threads=1), models["wine"].model
    with running(path, models["wine"].path) as url:
        yield SimpleNamespace(url=url, models=(older, newer))


@pytest.fixture
def serving():
    """Starts a server for one test."""
    return running


@contextmanager
def running(*arguments):
    """The URL of `afterfit serve`, which must say nothing on stderr."""
    source = str(Path(afterfit.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, "-m", "afterfit", "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        guard = threading.Timer(600, process.kill)
        guard.start()
        try:
            line = process.stdout.readline()
            assert "http://127.0.0.1:" in line, (line, process.stderr.read() if not line else "")
            yield line[line.index("http://") :].split()[0]
        finally:
            guard.cancel()
            process.terminate()
            _, complaints = process.communicate(timeout=30)
    assert complaints == ""


@pytest.fixture
def browse(chromium, server):
    """Opens a page of the server. In the end no page may have said anything on its console, nor asked another host."""
    contexts = []
    complaints = []
    expected = []

    def browse(name=None, *, path="/", url=None, statuses=(), expects=(), is_ready=True, **options):
        """`statuses`: refusals that the test provokes, which Chromium notes on the console; `expects`: other notes.

        `is_ready`: wait for the form.
        """
        context = chromium.new_context(accept_downloads=True, **options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        expected.extend(f"the server responded with a status of {status}" for status in statuses)
        expected.extend(expects)
        page = context.new_page()
        home = url or server
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: check_host(request.url, home, complaints))
        page.goto(f"{home}{path}" + (f"#{quote(name)}" if name else ""))
        if path == "/" and is_ready:
            page.wait_for_selector("#content:not([hidden])")
        return page

    yield browse
    for context in contexts:
        context.close()
    assert [one for one in complaints if not any(known in one for known in expected)] == []


def check_host(url, home, complaints):
    if urlsplit(url).scheme not in {"data", "blob"} and urlsplit(url).netloc != urlsplit(home).netloc:
        complaints.append(f"asked {url}")


def save_flights(path):
    from afterfit.cli._demo_model import load_flights, train_pipeline

    flights = load_flights()
    some = np.random.default_rng(0).choice(len(flights.train), 8_000, replace=False)
    small = SimpleNamespace(train=flights.train.iloc[some].reset_index(drop=True), late=flights.late[some])
    afterfit.save(
        train_pipeline(small), path, X=small.train, y=small.late, name="flights", description="Late?"
    )


def save_wine(path, C=1.0):
    from sklearn.datasets import load_wine
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = load_wine(return_X_y=True, as_frame=True)
    afterfit.save(
        make_pipeline(StandardScaler(), LogisticRegression(C=C)).fit(X, y), path, X=X, y=y, name="wine"
    )


def save_hostile(path):
    """Names and categories that are markup, and a column of 1,000 categories that knows no others."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rng = np.random.default_rng(1)
    X = pd.DataFrame({name: rng.normal(size=2_000) for name in HOSTILE_NAMES[:4]})
    X[HOSTILE_NAMES[4]] = rng.choice(HOSTILE_VALUES, 2_000)
    X["many"] = [f"value {number % 1_000:03}" for number in range(2_000)]
    y = rng.choice(HOSTILE_VALUES[:3], 2_000)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), [HOSTILE_NAMES[4]]),
        (OneHotEncoder(handle_unknown="error"), ["many"]),
        remainder="passthrough",
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=2_000)).fit(X, y)
    afterfit.save(model, path, X=X, y=y, name="hostile", description="<b onclick=alert(5)>bold</b>")


def save_texts(path):
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    X = pd.DataFrame({"review": ["good wine", "bad wine", "good cheese", "bad cheese"] * 10})
    y = np.array([2.0, -1.5, 3.0, -2.0] * 10)
    columns = make_column_transformer((CountVectorizer(), "review"))
    afterfit.save(make_pipeline(columns, Ridge()).fit(X, y), path, X=X, y=y, name="texts")


def save_scaler(path):
    import pandas as pd
    from sklearn.preprocessing import StandardScaler

    X = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [0.5, 0.25, 8.0]})
    afterfit.save(StandardScaler().set_output(transform="pandas").fit(X), path, X=X, name="scaler")


def write_wide(path):
    """The sum of 200 columns."""
    import spox
    import spox.opset.ai.onnx.v21 as op

    from afterfit.schema import Column

    numbers = spox.argument(spox.Tensor(np.float64, ("N", 200)))
    total = op.reduce_sum(numbers, op.constant(value=np.array([1])), keepdims=False)
    columns = tuple(
        Column(
            name=f"column {place}",
            type="float",
            nullable=False,
            input="number",
            position=place,
            range=(-1.0, 1.0),
        )
        for place in range(200)
    )
    row = {column.name: 0.5 for column in columns}
    write_by_hand(path, "wide", columns, {"number": numbers}, total, row, 100.0)


def write_tensor(path):
    """The sum of a matrix of 2 by 3 numbers."""
    import spox
    import spox.opset.ai.onnx.v21 as op

    from afterfit.schema import Column

    tensor = spox.argument(spox.Tensor(np.float64, ("N", 2, 3)))
    total = op.reduce_sum(tensor, op.constant(value=np.array([1, 2])), keepdims=False)
    column = Column(
        name="matrix",
        type="float",
        nullable=False,
        input="tensor_0",
        position=0,
        range=(0.0, 9.0),
        shape=(2, 3),
    )
    row = {"matrix": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]]}
    write_by_hand(path, "tensor", (column,), {"tensor_0": tensor}, total, row, 21.5)


def write_by_hand(path, name, columns, inputs, prediction, row, answer):
    """A regressor given by its graph."""
    import spox

    from afterfit.bundle import Framework, GoldenRow, Lineage, Manifest, Parity, encode_json, write_bundle
    from afterfit.schema import Output, Schema

    write_bundle(
        path,
        manifest=Manifest(
            format=2 if any(column.shape for column in columns) else 1,
            name=name,
            task="regression",
            framework=Framework(name="by hand", version="1", model="Sum"),
            entry_points={"predict": "prediction"},
            files={},
            lineage=Lineage(data_sha256="0" * 64, data_rows=1, saved_by="afterfit 0.1.0"),
            parity=Parity(
                rows=1,
                rows_given=1,
                golden_rows=1,
                labels_different=0,
                ties=0,
                max_error=0.0,
                tolerance=1e-12,
                precision="float64",
            ),
        ),
        schema=Schema(columns=columns, outputs=(Output(name="prediction", type="float", shape=(-1,)),)),
        graph=spox.build(inputs, {"prediction": prediction}).SerializeToString(),
        golden=[GoldenRow(input=row, output={"prediction": answer})],
        entries={"environment.json": encode_json({"python": "3.11", "packages": {}})},
    )
