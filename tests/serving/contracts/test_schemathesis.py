"""schemathesis makes requests of the served OpenAPI document, and the server holds to it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import afterfit

CONFIGURATION = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 503]
"""
"""503 is deliberate: a request may allow no time at all."""

NATIVE = "^(?!/v2/models/toy/infer|/invocations)"
OTHERS = "infer$|^/invocations$"

FORMS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
"""What holds of the other contracts: OpenAPI cannot say that data are as long as the shape beside them says."""

RUNS = {
    "native": [NATIVE, "examples,coverage", "--checks", "all"],
    # The integer 2**53 is taken and the float is not, which may stand for its neighbours too; JSON Schema does not
    # tell them apart, and fuzzing finds that in time.
    "native fuzzed": [NATIVE, "fuzzing", "--checks", "all", "--exclude-checks", "positive_data_acceptance"],
    "others": [OTHERS, "examples,coverage,fuzzing", "--checks", FORMS],
}


@pytest.mark.sweep
@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed")
@pytest.mark.parametrize("run", RUNS)
def test_schemathesis_finds_nothing(toy_bundle, tmp_path, run):
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    source = str(Path(afterfit.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source}
    command = [sys.executable, "-m", "afterfit", "serve", str(toy_bundle), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            line = server.stdout.readline()
            url = line[line.index("http://") :].split()[0]
            paths, phases, *checks = RUNS[run]
            options = [*checks, "--include-path-regex", paths, "--phases", phases]
            options += ["--seed", "1", "--max-examples", "50"]
            done = subprocess.run(
                [
                    *[sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"],
                    *["--config-file", str(configuration), "run", f"{url}/openapi.json", *options],
                ],
                check=False,
                capture_output=True,
                text=True,
                timeout=250,
                cwd=tmp_path,
            )
        finally:
            server.terminate()
            server.wait(timeout=30)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "Tested: " in done.stdout
