"""The commands that read runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

import afterfit
from afterfit.cli import cli


def run(*args: str, code: int = 0) -> str:
    done = CliRunner().invoke(cli, list(args))
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AFTERFIT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ids() -> list[str]:
    found = []
    for i in range(12):
        with afterfit.run(f"r{i % 2}", {"lr": i / 10, "depth": 3}) as one:
            for step in range(5):
                one.log(step, loss=abs(step - 2) + i, score=i)
        found.append(one.id)
    return found


def test_runs_are_listed_filtered_and_sorted(ids: list[str]):
    listed = json.loads(run("runs", "--json", "--where", "lr > 0.55 and name = r1", "--sort", "lr"))
    assert [one["id"] for one in listed["runs"]] == [ids[11], ids[9], ids[7]]
    assert listed["count"] == 3
    assert ids[4] in run("runs", "--columns", "id, lr,min.loss", "--limit", "12")
    assert "there are id, name" in run("runs", "--where", "nothing = 1", code=2)
    assert "2 of 12" in run("runs", "--limit", "2", "--reindex")


def test_a_run_is_shown_compared_and_plotted(ids: list[str]):
    assert "r0" in run("runs", "show", ids[0])
    shown = json.loads(run("runs", "show", ids[0], "--json"))
    assert shown["series"]["loss"]["value"] == [2, 1, 0, 1, 2]
    assert f"numpy=={np.__version__}\n" in run("runs", "show", ids[0], "--requirements")
    differences = json.loads(run("runs", "compare", ids[0], ids[2], "--json"))["differences"]
    assert differences["params.lr"] == [0.0, 0.2]
    assert not {"params.depth", "name", "python", "command"} & set(differences)
    assert "two runs" in run("runs", "compare", ids[0], ids[0], code=2)
    assert "loss" in run("runs", "plot", ids[0], ids[1])
    assert "they have loss, score" in run("runs", "plot", ids[0], "--metric", "no", code=2)
    points = json.loads(run("runs", "plot", ids[0], ids[2], "--metric", "loss", "--json"))
    assert points["loss"][ids[0]] == {"step": [0.0, 1.0, 2.0, 3.0, 4.0], "value": [2.0, 1.0, 0.0, 1.0, 2.0]}
    run("runs", "plot", ids[0], "-o", "curves.svg")
    run("runs", "plot", ids[0], "-o", "curves.png")
    assert Path("curves.svg").read_text().startswith("<svg")
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")
    assert ".svg or .png" in run("runs", "plot", ids[0], "-o", "curves.pdf", code=2)


def test_the_best_runs_and_what_matters(ids: list[str]):
    best = json.loads(run("runs", "best", "--metric", "loss", "--json"))
    assert (best["runs"][0]["id"], best["runs"][0]["value"], best["runs"][0]["step"]) == (ids[0], 0.0, 2.0)
    assert "--direction" in run("runs", "best", "--metric", "score", code=2)
    highest = json.loads(run("runs", "best", "--metric", "score", "--direction", "higher", "--json"))
    assert highest["runs"][0]["id"] == ids[11]
    assert "hint" in run("runs", "importance", "--metric", "loss")
    assert (
        json.loads(run("runs", "importance", "--metric", "loss", "--json"))["importance"][0]["name"] == "lr"
    )
    assert "needs 10" in run("runs", "importance", "--metric", "loss", "--where", "lr < 0.35", code=2)


def test_there_are_no_runs_before_the_first():
    assert "there are no runs" in run("runs", code=2)
    assert completions("runs", "show", "") == []


def test_a_mistake_is_answered_with_what_was_meant(ids: list[str]):
    assert "did you mean loss? there are loss, score" in run("runs", "best", "--metric", "los", code=2)
    assert "no run has a metric 'zzz'; there are" in run("runs", "importance", "--metric", "zzz", code=2)
    assert "did you mean params.depth?" in run("runs", "--where", "dept > 2", code=2)
    assert "did you mean score? they have" in run("runs", "plot", ids[0], "--metric", "scor", code=2)
    assert "did you mean compare?" in run("runs", "compar", code=2)
    assert f"afterfit runs show {ids[0]}" in run("runs", ids[0], code=2)
    assert f"the newest of that name is {ids[10]}" in run("runs", "show", "r0", code=2)


def completions(*words: str) -> list[str]:
    complete = ShellComplete(cli, {}, "afterfit", "_AFTERFIT_COMPLETE")
    return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]


def test_a_shell_completes_runs_metrics_and_columns(ids: list[str]):
    assert completions("runs", "show", ids[0][:4]) == []
    run("runs")
    assert completions("runs", "show", ids[3]) == [ids[3]]
    assert set(completions("rerun", "")) == {"last", *ids}
    assert completions("runs", "best", "--metric", "") == ["loss", "score"]
    assert completions("runs", "--sort", "params.") == ["params.depth", "params.lr"]


def test_the_parts_of_a_run_can_be_left_out():
    with afterfit.run("search") as one:
        for i in range(3):
            one.child("candidate", {"alpha": i}).finish()
    assert json.loads(run("runs", "--json"))["count"] == 4
    assert json.loads(run("runs", "--json", "--no-parts"))["runs"][0]["id"] == one.id
    assert (
        json.loads(run("runs", "--json", "--no-parts", "--where", "alpha = 1 or name = search"))["count"] == 1
    )
    assert f'3; afterfit runs --where "parent = {one.id}"' in run("runs", "show", "last")


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["table", "json"])
def test_a_list_needs_no_numpy(ids: list[str], as_json: list[str]):
    run("runs")
    words = ["runs", "--where", "lr > 0.55 and name = r1", "--sort", "min.loss", *as_json]
    script = f"import sys\nfrom afterfit.cli import cli\ncli.main({words}, standalone_mode=False)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ids[11] in done.stdout
    assert not {"numpy", "afterfit.bundle"} & set(done.stdout.split())


def test_a_file_has_room_for_every_column(ids: list[str]):
    listed = run("runs", "--limit", "12")
    assert all(one in listed for one in ids)
    assert "metrics.score" in listed


def test_a_bundle_names_its_run_and_carries_its_history():
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    X = np.random.default_rng(0).random((60, 2))
    with afterfit.run("named", {"C": 1.0}) as one:
        one.log(0, loss=0.5, val_loss=0.75)
        one.log(1, loss=0.25)
        one.save(linear.LinearRegression().fit(X, X[:, 0]), "named.afit", X=X)
    told = json.loads(run("inspect", "named.afit", "--json"))
    assert told["training"]["run"]["id"] == one.id
    assert told["training"]["run"]["data"]["rows"] == 60
    assert told["training"]["params"] == {"C": 1.0}
    assert told["training"]["metrics"] == {"loss": 0.25, "val_loss": 0.75}
    assert told["training"]["history"]["metrics"]["loss"]["validation"] == [0.75, None]
    shown = json.loads(run("runs", "show", "last", "--json"))
    assert shown["bundles"][0]["digest"] == told["digest"]
