"""Unmodified clients against the server as people start it, and the checks that platforms make of a container."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

import afterfit
from afterfit.errors import ArgumentError
from afterfit.serving import find_container

KSERVE_PYTHON = "KSERVE_PYTHON"


@contextmanager
def running(*arguments, **environment):
    """The URL of a server, its process and its standard error, which is empty unless there are notes."""
    source = str(Path(afterfit.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-m", "afterfit", "serve", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source, **environment},
    ) as process:
        guard = threading.Timer(120, process.kill)
        guard.start()
        try:
            line = process.stdout.readline()
            assert "http://" in line, (line, process.stderr.read() if not line else "")
            yield line[line.index("http://") :].split()[0].replace("0.0.0.0", "127.0.0.1"), process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            guard.cancel()
    assert process.returncode == 0


@pytest.fixture(scope="module")
def url(toy_bundle):
    with running(toy_bundle, "--port", 0) as (url, _):
        yield url


@pytest.fixture
def triton(url):
    http = pytest.importorskip("tritonclient.http", reason="Triton's client is not installed")
    with http.InferenceServerClient(url.removeprefix("http://"), network_timeout=30) as client:
        yield http, client


def triton_inputs(http, client, toy, *, binary):
    dtypes = {"FP64": np.float64, "INT64": np.int64, "BYTES": object}
    inputs = []
    for described in client.get_model_metadata("toy")["inputs"]:
        values = toy.columns[described["name"]]
        array = np.array(values, dtype=dtypes[described["datatype"]]).reshape(-1, 1)
        one = http.InferInput(described["name"], list(array.shape), described["datatype"])
        one.set_data_from_numpy(array, binary_data=binary)
        inputs.append(one)
    return inputs


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_tritonclient_infers_as_the_model(triton, toy, binary, listed, compression):
    http, client = triton
    outputs = None
    if listed:
        outputs = [
            http.InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "prediction")
        ]
    result = client.infer(
        "toy",
        triton_inputs(http, client, toy, binary=binary),
        model_version=toy.model.version if listed else "",
        outputs=outputs,
        request_id="42",
        timeout=10_000_000,
        priority=1,
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    assert result.get_response()["id"] == "42"
    assert np.allclose(result.as_numpy("probabilities"), toy.probabilities, rtol=0, atol=1e-12)
    labels = [one.decode() if isinstance(one, bytes) else one for one in result.as_numpy("prediction")]
    assert labels == toy.labels


def test_tritonclient_asks_what_there_is(triton, toy):
    _, client = triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("toy")
    assert client.is_model_ready("toy", toy.model.version)
    assert not client.is_model_ready("tot")
    assert client.get_server_metadata()["name"] == "afterfit"
    assert client.get_model_config("toy")["name"] == "toy"
    before = client.get_inference_statistics("toy")["model_stats"][0]["inference_count"]
    client.infer("toy", triton_inputs(*triton, toy, binary=True))
    after = client.get_inference_statistics()["model_stats"][0]["inference_count"]
    assert after - before == len(toy.rows)


def test_tritonclient_shows_every_mistake(triton):
    http, client = triton
    wrong = http.InferInput("delays", [1, 1], "FP64")
    wrong.set_data_from_numpy(np.ones((1, 1)))
    with pytest.raises(http.InferenceServerException, match="delays") as caught:
        client.infer("toy", [wrong])
    assert caught.value.status() == "422"


def test_models_are_unloaded_and_loaded_in_all_workers(toy_bundle, toy):
    http = pytest.importorskip("tritonclient.http", reason="Triton's client is not installed")
    with running(toy_bundle, "--port", 0, "--workers", 2) as (url, _):
        with http.InferenceServerClient(url.removeprefix("http://"), network_timeout=30) as client:
            for _ in range(2):
                assert client.get_model_repository_index() == [
                    {"name": "toy", "version": toy.model.version, "state": "READY", "reason": ""}
                ]
                client.unload_model("toy")
                agree(url, 404)
                assert client.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
                client.load_model("toy")
                agree(url, 200)
        page = httpx.post(
            f"{url}/v2/repository/models/toy/unload", headers={"origin": "http://elsewhere.example"}
        )
        assert page.status_code == 403
        assert httpx.get(f"{url}/v2/models/toy/ready").status_code == 200


def agree(url, status):
    """Wait until new connections, which either worker may take, are answered with this status ten times in a row."""
    same = 0
    for _ in range(2000):
        same = same + 1 if httpx.get(f"{url}/v2/models/toy/ready").status_code == status else 0
        if same == 10:
            return
    raise AssertionError("the workers do not agree")


KSERVE_SCRIPT = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

url, sent = sys.argv[1], json.load(sys.stdin)

async def main():
    found = {}
    async with InferenceRESTClient(RESTConfig(protocol="v1", timeout=30)) as client:
        assert await client.is_server_live(url) and await client.is_model_ready(url, "toy")
        found["v1"] = (await client.infer(url, {"instances": sent["rows"]}, model_name="toy"))["predictions"]
        try:
            await client.infer(url, {"instances": [{}]}, model_name="toy")
        except Exception as error:
            found["v1 error"] = str(error)
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=30)) as client:
        assert await client.is_server_live(url) and await client.is_server_ready(url)
        assert await client.is_model_ready(url, "toy")
        for binary in (False, True):
            inputs = []
            for name, datatype, dtype in (
                ("delay", "FP64", "f8"), ("distance (miles)", "INT64", "i8"), ("carrier", "BYTES", object),
            ):
                array = np.array(sent["columns"][name], dtype=dtype).reshape(-1, 1)
                one = InferInput(name, list(array.shape), datatype)
                one.set_data_from_numpy(array, binary_data=binary)
                inputs.append(one)
            answer = await client.infer(url, InferRequest("toy", inputs), model_name="toy")
            found[f"v2 {binary}"] = next(
                one for one in answer.outputs if one.name == "prediction"
            ).as_numpy().tolist()
        try:
            await client.infer(url, InferRequest("toy", inputs[:1]), model_name="toy")
        except Exception as error:
            found["v2 error"] = str(error)
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.mark.skipif(
    KSERVE_PYTHON not in os.environ,
    reason=f"kserve needs numpy 1: {KSERVE_PYTHON} names the interpreter of an environment that has it",
)
def test_kserves_client_of_both_protocols(url, toy):
    import json

    done = subprocess.run(
        [os.environ[KSERVE_PYTHON], "-c", KSERVE_SCRIPT, url],
        input=json.dumps({"rows": toy.rows, "columns": toy.columns}),
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for form in ("v1", "v2 False", "v2 True"):
        assert found[form] == toy.labels
    for form in ("v1 error", "v2 error"):
        assert "'carrier'" in found[form]


def test_what_kserves_client_sends_restated(url, toy):
    """Its extra key, its id, and JSON without a Content-Type; it shows errors only of exactly application/json."""
    inputs = [
        {"name": name, "shape": [len(values), 1], "datatype": datatype, "parameters": None, "data": values}
        for (name, values), datatype in zip(toy.columns.items(), ("FP64", "INT64", "BYTES"), strict=True)
    ]
    with httpx.Client(base_url=url) as client:
        request = {"id": "9b0c", "model_name": "toy", "inputs": inputs}
        reply = client.post("/v2/models/toy/infer", content=httpx.Request("POST", url, json=request).content)
        assert reply.json()["model_name"] == "toy"
        assert reply.json()["id"] == "9b0c"
        assert reply.json()["outputs"][0]["data"] == toy.labels
        assert client.get("/").json()["status"] == "alive"
        for path in ("/v2/models/toy/infer", "/v1/models/toy:predict"):
            wrong = client.post(path, content=b"{}")
            assert wrong.status_code == 400
            assert wrong.headers["content-type"] == "application/json"
            assert isinstance(wrong.json()["error"], str)


@pytest.fixture
def folder(tmp_path, toy_bundle):
    shutil.copy(toy_bundle, tmp_path / "model.afit")
    return tmp_path


def test_a_container_as_sagemaker_starts_it(folder, toy):
    """`serve` with no bundle: `/ping` and `/invocations`, and SIGTERM ends it in time."""
    environment = {"AFTERFIT_MODEL_DIR": str(folder)}
    with (
        running("--port", 0, "--host", "127.0.0.1", **environment) as (url, process),
        httpx.Client() as client,
    ):
        assert client.get(f"{url}/ping", timeout=2).status_code == 200
        header = {"content-type": "text/csv; header=absent"}
        csv = "\n".join(",".join(map(str, row)) for row in toy.lists)
        for reply in (
            client.post(f"{url}/invocations", json={"instances": toy.rows}, timeout=60),
            client.post(f"{url}/invocations", content=csv, headers=header, timeout=60),
        ):
            assert reply.json() == {"predictions": toy.labels}
        for closed in ("/metrics", "/v2/models/stats"):
            assert client.get(url + closed).status_code == 403
        process.send_signal(signal.SIGTERM)
        assert "No key is asked for" in process.communicate(timeout=30)[1]
        assert process.returncode == 0


def test_a_container_as_vertex_ai_starts_it(folder, toy):
    environment = {
        "AFTERFIT_MODEL_DIR": str(folder),
        "AIP_HTTP_PORT": "0",
        "AIP_HEALTH_ROUTE": "/v1/endpoints/7/deployedModels/8",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/7/deployedModels/8:predict",
        "AIP_STORAGE_URI": "gs://bucket/model",
    }
    with running("--host", "127.0.0.1", **environment) as (url, process), httpx.Client() as client:
        assert client.get(url + environment["AIP_HEALTH_ROUTE"]).status_code == 200
        reply = client.post(
            url + environment["AIP_PREDICT_ROUTE"], json={"instances": toy.lists, "parameters": {}}
        )
        assert reply.json() == {"predictions": toy.labels}
        process.send_signal(signal.SIGTERM)
        _, notes = process.communicate(timeout=30)
        assert "AIP_STORAGE_URI is ignored" in notes


def test_what_a_platform_asks_for(tmp_path, folder):
    found = find_container({"AFTERFIT_MODEL_DIR": str(folder)})
    assert (found.host, found.port, found.vertex, found.notes) == ("0.0.0.0", 8080, None, ())
    assert found.insecure
    assert found.paths == (str(folder / "model.afit"),)
    found = find_container({"AFTERFIT_MODEL_DIR": str(folder), "AIP_HTTP_PORT": "7080"})
    assert found.port == 7080
    assert found.vertex.health == "/health/ready"
    for wrong in (
        {"AIP_HTTP_PORT": "http"},
        {"AIP_HTTP_PORT": "99999"},
        {"AIP_HEALTH_ROUTE": "health"},
        {"AFTERFIT_MODEL_DIR": str(tmp_path / "none")},
    ):
        with pytest.raises(ArgumentError, match=r"AIP_|holds none"):
            find_container({"AFTERFIT_MODEL_DIR": str(folder)} | wrong)
