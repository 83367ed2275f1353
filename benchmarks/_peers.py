"""The servers of others, each in a virtual environment of its own: their packages contradict each other's and ours."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Row = dict[str, Any]

PACKAGES = {
    "mlflow": ["mlflow==3.17.2"],
    "bentoml": ["bentoml==1.4.40"],
    "mlserver": ["mlserver==1.7.1", "mlserver-sklearn==1.7.1"],
    "litserve": ["litserve==0.2.19"],
}
OFFER_BATCHING = {"bentoml", "litserve"}
"""Those that join requests into one run where they are told to, which they are not as they come."""

SHARED = ["joblib", "pandas", "scikit-learn"]
"""Packages of which peers get the versions that the pipeline was fitted with."""

SAVE_MLFLOW = (
    "import sys, joblib, mlflow.sklearn; mlflow.sklearn.save_model(joblib.load(sys.argv[1]), sys.argv[2], "
    "pyfunc_predict_fn='predict_proba', skops_trusted_types=['numpy.dtype'])"
)


@dataclass(frozen=True)
class Server:
    """A server to start: `PORT` in its command and environment stands for the port it is to listen on, `OTHER` and
    `ANOTHER` for two more.

    `body` writes rows as a request to `path`, `probabilities` reads them from the answer; None for a server that
    answers a constant of `size` bytes.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str = "/predict"
    body: Callable[[list[Row]], bytes] = lambda rows: json.dumps({"rows": rows}).encode()
    probabilities: Callable[[bytes], Any] | None = lambda answer: json.loads(answer)["probabilities"]
    size: int = 0
    folder: Path | None = None
    versions: str = ""


def peer(
    name: str, cache: Path, folder: Path, pickle: Path, schema: Sequence[tuple[str, str]]
) -> list[Server]:
    """A peer that serves the pickled pipeline, as it comes, and with its batching where it offers that.

    `schema` are the columns, with their V2 datatypes.
    """
    python = environment(name, cache)
    own = folder / name
    own.mkdir()
    versions = ", ".join(PACKAGES[name]).replace("==", " ")
    made: Callable[..., Server] = {
        "mlflow": _mlflow,
        "bentoml": _bentoml,
        "mlserver": _mlserver,
        "litserve": _litserve,
    }[name]
    server = made(str(python), own, pickle, schema, versions)
    if name not in OFFER_BATCHING:
        return [server]
    return [
        replace(server, environment={**server.environment, "BATCHING": "0"}),
        replace(server, name=f"{server.name}, batching", environment={**server.environment, "BATCHING": "1"}),
    ]


def environment(name: str, cache: Path) -> Path:
    """The interpreter of a peer's environment, which is made where the cache has none of these versions."""
    where = cache / name
    python = where / "bin" / "python"
    wanted = [*PACKAGES[name], *(f"{package}=={version(package)}" for package in SHARED)]
    note = where / "installed.txt"
    if note.is_file() and note.read_text().split() == wanted:
        return python
    print(f"installing {' '.join(wanted)} in {where}", file=sys.stderr)
    if not python.exists():
        venv.create(where, with_pip=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name} cannot be installed:\n{done.stderr[-2000:]}")
    note.write_text("\n".join(wanted))
    return python


def _mlflow(python: str, folder: Path, pickle: Path, schema: object, versions: str) -> Server:
    model = folder / "model"
    subprocess.run(
        [python, "-W", "ignore", "-c", SAVE_MLFLOW, pickle, model], check=True, capture_output=True
    )
    command = [python, "-m", "mlflow", "models", "serve", "-m", str(model), "-p", "PORT", "-h", "127.0.0.1"]
    return Server(
        "MLflow models serve",
        [*command, "--env-manager", "local", "--workers", "1"],
        {"PATH": f"{Path(python).parent}:/usr/bin:/bin", "MLFLOW_DISABLE_TELEMETRY": "true"},
        "/invocations",
        lambda rows: json.dumps({"dataframe_records": rows}).encode(),
        lambda answer: json.loads(answer)["predictions"],
        folder=folder,
        versions=versions,
    )


def _bentoml(python: str, folder: Path, pickle: Path, schema: object, versions: str) -> Server:
    (folder / "service.py").write_text((HERE / "_peer_bentoml.py").read_text())
    command = [python, "-m", "bentoml", "serve", "service:Flights", "--port", "PORT", "--host", "127.0.0.1"]
    settings = {
        "FLIGHTS_JOBLIB": str(pickle),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(folder / "home"),
    }
    return Server(
        "BentoML",
        command,
        settings,
        probabilities=json.loads,
        folder=folder,
        versions=versions,
    )


def _mlserver(
    python: str, folder: Path, pickle: Path, schema: Sequence[tuple[str, str]], versions: str
) -> Server:
    # With a pool of one worker it would hand every request to a second process.
    settings = {"parallel_workers": 0, "host": "127.0.0.1", "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "flights",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(pickle), "content_type": "pd"},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))

    def body(rows: list[Row]) -> bytes:
        inputs = []
        for name, datatype in schema:
            one: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [len(rows), 1]}
            one["data"] = [row[name] for row in rows]
            inputs.append(one | ({"parameters": {"content_type": "str"}} if datatype == "BYTES" else {}))
        return json.dumps({"inputs": inputs, "outputs": [{"name": "predict_proba"}]}).encode()

    def probabilities(answer: bytes) -> list[list[float]]:
        (output,) = json.loads(answer)["outputs"]
        width = output["shape"][1]
        return [output["data"][at : at + width] for at in range(0, len(output["data"]), width)]

    return Server(
        "MLServer",
        [str(Path(python).with_name("mlserver")), "start", str(folder)],
        {"MLSERVER_HTTP_PORT": "PORT", "MLSERVER_GRPC_PORT": "OTHER", "MLSERVER_METRICS_PORT": "ANOTHER"},
        "/v2/models/flights/infer",
        body,
        probabilities,
        folder=folder,
        versions=versions,
    )


def _litserve(python: str, folder: Path, pickle: Path, schema: object, versions: str) -> Server:
    return Server(
        "LitServe",
        [python, str(HERE / "_peer_litserve.py"), "PORT"],
        {"FLIGHTS_JOBLIB": str(pickle)},
        body=lambda rows: json.dumps(rows[0] if len(rows) == 1 else rows).encode(),
        probabilities=lambda answer: [json.loads(answer)],
        folder=folder,
        versions=versions,
    )
