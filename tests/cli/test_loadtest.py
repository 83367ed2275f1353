"""`afterfit loadtest` as people call it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from afterfit.cli import cli


def call(*arguments):
    return CliRunner().invoke(cli, ["loadtest", *map(str, arguments)])


def test_a_bundle_is_served_tested_and_stopped(toy_bundle):
    done = call(toy_bundle, "--requests", 200, "--connections", 4, "--malformed", 0.2, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["requests"], report["wrong"]) == (200, 0)
    assert (
        report["by_status"]["200"]
        + sum(count for status, count in report["by_status"].items() if status != "200")
        == 200
    )
    assert report["milliseconds"]["p50"] > 0


def test_people_read_a_table(toy_bundle):
    done = call(toy_bundle, "--requests", 50)
    assert done.exit_code == 0, done.output
    assert "requests a second" in done.stdout
    assert "wrong answers" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["http://127.0.0.1:1"], "does not answer"),
        (["http://127.0.0.1:1", "--workers", 2], "--workers"),
        (["ftp://x"], "does not exist"),
        (["http://127.0.0.1:1", "--rate", 0], "--rate"),
    ],
)
def test_what_cannot_be_tested_is_refused(arguments, word):
    done = call(*arguments)
    assert done.exit_code == 2
    assert word in done.stderr


def test_wrong_answers_are_shown_and_the_exit_code_tells(toy_bundle, monkeypatch):
    from afterfit.loadtest import _deck

    right = _deck.answers_of_model

    def shifted(model, rows):
        answers = right(model, rows)
        for row in answers.values["probabilities"]:
            row[0] += 1e-9
        return answers

    monkeypatch.setattr(_deck, "answers_of_model", shifted)
    done = call(toy_bundle, "--requests", 10)
    assert done.exit_code == 1
    assert "probabilities is" in done.stdout
