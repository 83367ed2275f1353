from __future__ import annotations

import datetime as dt
import hashlib
import json

import pytest
from click.testing import CliRunner

from afterfit.cli._group import cli
from afterfit.serving._security import read_keys


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AFTERFIT_KEYS", raising=False)

    def run(*arguments, code=0, **variables):
        result = CliRunner().invoke(cli, ["keys", *map(str, arguments)], env=variables)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run


def test_the_key_is_printed_alone_and_once(run, tmp_path):
    result = run("create", "mobile")
    secret = result.stdout.strip()
    (key,) = read_keys(tmp_path / "keys.json")
    assert hashlib.sha256(secret.encode()).hexdigest() == key.sha256
    assert (key.name, key.scope, key.expires, key.limits.is_any) == ("mobile", "predict", None, False)
    assert "shown this once" in result.stderr
    assert secret not in result.stderr
    assert secret not in run("list").output


def test_every_option(run, tmp_path):
    made = json.loads(
        run(
            *("create", "partner", "--scope", "admin", "--expires", "90d", "--rate", 20.5, "--burst", 100),
            *(
                "--concurrent",
                4,
                "--requests-per-day",
                1000,
                "--rows-per-day",
                5000,
                "--file",
                "other.json",
                "--json",
            ),
        ).stdout
    )
    (key,) = read_keys(tmp_path / "other.json")
    assert made["key"].startswith("afit_")
    assert made["scope"] == key.scope == "admin"
    assert made["limits"] == {
        "requests_per_second": 20.5,
        "burst": 100,
        "concurrent": 4,
        "requests_per_day": 1000,
        "rows_per_day": 5000,
    }
    assert abs(key.expires - dt.datetime.now(dt.UTC) - dt.timedelta(days=90)) < dt.timedelta(minutes=5)
    listed = json.loads(run("list", "--json", AFTERFIT_KEYS="other.json").stdout)["keys"]
    assert listed == [{name: value for name, value in made.items() if name != "key"}]
    shown = run("list", "--file", "other.json").stdout
    assert "20.5 requests per second" in shown
    assert made["key"] not in shown


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2099-01-31", dt.datetime(2099, 1, 31, tzinfo=dt.UTC)),
        ("2099-01-31T12:30", dt.datetime(2099, 1, 31, 12, 30, tzinfo=dt.UTC)),
        ("2099-01-31T12:30+02:00", dt.datetime(2099, 1, 31, 10, 30, tzinfo=dt.UTC)),
    ],
)
def test_moments(run, tmp_path, text, moment):
    run("create", "a", "--expires", text)
    assert read_keys(tmp_path / "keys.json")[0].expires == moment


def test_revoke(run, tmp_path):
    for name in ("a", "b"):
        run("create", name)
    assert "a is revoked" in run("revoke", "a").stdout
    assert json.loads(run("revoke", "b", "--json").stdout)["revoked"]["name"] == "b"
    assert read_keys(tmp_path / "keys.json") == []
    assert "has no key 'a'" in run("revoke", "a", code=2).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("create",),
        ("create", "a b"),
        ("create", "a", "--scope", "root"),
        ("create", "a", "--expires", "soon"),
        ("create", "a", "--expires", "2020-01-01"),
        ("create", "a", "--expires", "999999w"),
        ("create", "a", "--rate", 0),
        ("create", "a", "--burst", 5),
        ("create", "a", "--file", "none/keys.json"),
        ("list",),
        ("revoke", "a"),
    ],
)
def test_bad_usage_is_one_sentence_and_makes_nothing(run, tmp_path, arguments):
    result = run(*arguments, code=2)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_help_has_examples(run):
    for arguments in ((), ("create",)):
        assert "afterfit keys create mobile" in run(*arguments, "--help").stdout
