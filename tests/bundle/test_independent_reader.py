"""A bundle is read by following FORMAT.md alone, with nothing of afterfit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

FORMAT = Path(__file__).parents[2] / "FORMAT.md"
NON_FINITE = ("NaN", "Infinity", "-Infinity")


def replay(path: Path) -> int:
    """Check every digest of the bundle at `path`, replay its golden rows; how many there are.

    Uses `zipfile`, `json`, `numpy` and `onnxruntime` alone. AssertionError at the first answer that differs.
    """
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(contents.pop("manifest.json"))
    assert manifest["format"] == 1
    stated = {name: (record["size"], record["sha256"]) for name, record in manifest["files"].items()}
    assert stated == {name: (len(content), sha256(content).hexdigest()) for name, content in contents.items()}

    schema = json.loads(contents["schema.json"])
    golden = [json.loads(line) for line in contents["golden.jsonl"].splitlines()]
    inputs = {}
    for name, dtype in (("number", np.float64), ("text", object), ("integer", np.int64)):
        columns = sorted(
            (column for column in schema["columns"] if column["input"] == name), key=lambda c: c["position"]
        )
        if columns:
            rows = [[spell(name, row["input"][column["name"]]) for column in columns] for row in golden]
            inputs[name] = np.array(rows, dtype=dtype).reshape(len(golden), len(columns))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("optimization.disable_specified_optimizers", "NoopElimination")
    session = onnxruntime.InferenceSession(
        contents["model.onnx"], options, providers=["CPUExecutionProvider"]
    )
    names = [output["name"] for output in schema["outputs"]]
    answers = dict(zip(names, session.run(names, inputs), strict=True))
    for output in schema["outputs"]:
        known = [row["output"][output["name"]] for row in golden]
        compare(output, answers[output["name"]], known, manifest["parity"]["tolerance"])
    return len(golden)


def spell(name: str, value: Any) -> Any:
    if name != "text":
        return np.nan if value is None else value
    if value is None:
        return "\x1a"
    return "\x1a" + value if value.startswith("\x1a") else value


def compare(output: dict[str, Any], got: Any, known: list[Any], tolerance: float) -> None:
    assert list(got.shape[1:]) == output["shape"][1:]
    if output["name"] == "transformed" and output["type"] == "string":
        values = [value[1:] or None if value[:1] == "\x1a" else value for value in got.ravel().tolist()]
        assert np.array(values, dtype=object).reshape(got.shape).tolist() == known
    elif output["type"] != "float" or output["classes"] is not None:
        assert got.tolist() == known
    else:
        expected = np.array(known, dtype=np.float64).reshape(got.shape)
        finite = np.isfinite(expected)
        scale = max(1.0, float(np.abs(expected[finite]).max(initial=0.0)))
        assert np.array_equal(got[~finite], expected[~finite], equal_nan=True)
        assert (np.abs(got[finite] - expected[finite]) <= tolerance * scale).all()


def test_golden_rows_replay_without_afterfit(bundle_path: Path) -> None:
    assert replay(bundle_path) == 4


def test_a_wrong_answer_is_noticed(bundle_path: Path, tmp_path: Path) -> None:
    """The replay can fail."""
    with zipfile.ZipFile(bundle_path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["golden.jsonl"] = contents["golden.jsonl"].replace(b"[0.5,0.5]", b"[0.5,0.50000000001]")
    manifest = json.loads(contents["manifest.json"])
    manifest["files"]["golden.jsonl"] = {
        "size": len(contents["golden.jsonl"]),
        "sha256": sha256(contents["golden.jsonl"]).hexdigest(),
    }
    contents["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(tmp_path / "wrong.afit", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(AssertionError):
        replay(tmp_path / "wrong.afit")


def test_the_programs_in_format_md_run(bundle_path: Path) -> None:
    """The first opens a bundle and answers, the second replays; run in a fresh process, without afterfit."""
    programs = re.findall(r"```python\n(.*?)```", FORMAT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(programs) == 2
    assert len([line for line in programs[0].splitlines() if line and "import" not in line]) <= 20
    source = f"path = {str(bundle_path)!r}\n" + "".join(programs)
    source += "import sys\nassert answers['prediction'].tolist() == ['yes', 'no', 'yes', 'no']\n"
    source += "assert not any(name.startswith('afterfit') for name in sys.modules)\n"
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)
