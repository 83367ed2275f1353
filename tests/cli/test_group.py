"""The command as a whole: help, misspellings, errors, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from afterfit.cli import cli
from afterfit.cli._group import COMMANDS
from afterfit.cli._terminal import printable

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN = [name for name in COMMANDS if name not in {"demo", "serve"}]


def run(*args: str, **options):
    return CliRunner().invoke(cli, list(args), **options)


def test_help_lists_every_command_and_imports_none():
    code = (
        "import sys\nfrom afterfit.cli import cli\n"
        "try: cli(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'rich', 'msgspec', 'onnxruntime', 'pyarrow', 'afterfit.cli._predict'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, (_, line) in COMMANDS.items():
        assert f"{name} " in done.stdout
        assert line in done.stdout


@pytest.mark.parametrize("name", WRITTEN)
def test_every_command_has_help_with_examples(name: str):
    done = run(name, "--help")
    assert done.exit_code == 0
    assert f"Examples:\n    afterfit {name}" in done.stdout.replace("  Examples", "Examples")
    command = cli.get_command(click.Context(cli), name)
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize("name", ["inspect", "verify", "predict"])
def test_commands_that_report_offer_json(name: str):
    assert "--json" in run(name, "--help").stdout


@pytest.mark.parametrize(
    ("typed", "meant"), [("inspct", "inspect"), ("verfy", "verify"), ("prediction", "predict")]
)
def test_a_misspelt_command_is_answered_with_the_nearest(typed: str, meant: str):
    done = run(typed)
    assert done.exit_code == 2
    assert (
        done.stderr == f"Error: there is no command '{typed}'; did you mean {meant}? Try 'afterfit --help'.\n"
    )


def test_a_command_like_no_other_is_answered_with_all():
    assert "the commands are demo, inspect, verify" in run("xyzzy").stderr


@pytest.mark.parametrize(
    "args", [["--nonsense"], ["inspect"], ["inspect", "missing.afit"], ["verify", "a", "b"], ["inspect", "."]]
)
def test_bad_usage_is_one_sentence_and_code_2(args: list[str]):
    done = run(*args)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


def test_no_command_shows_the_help_and_is_bad_usage():
    done = run()
    assert done.exit_code == 2
    assert "Commands:" in done.stderr


def test_version():
    from afterfit import __version__

    assert run("--version").stdout == f"afterfit {__version__}\n"


@pytest.mark.parametrize("shell", ["zsh", "fish", "bash"])
def test_completion_scripts(shell: str):
    done = run("completion", shell)
    assert done.exit_code == 0
    assert "_AFTERFIT_COMPLETE" in done.stdout
    assert run("completion", "tcsh").exit_code == 2


def test_completion_answers_a_shell():
    variables = {
        **os.environ,
        "_AFTERFIT_COMPLETE": "bash_complete",
        "COMP_WORDS": "afterfit insp",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from afterfit.cli import main; main()"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "plain,inspect\n"


def test_what_could_steer_a_terminal_is_escaped():
    assert (
        printable("\x1b[31mred\r\u202eabc\n\x00\x9b\ud800") == "\\x1b[31mred\\r\\u202eabc\\n\\x00\\x9b\\ud800"
    )
    assert printable("Łódź 東京 é €") == "Łódź 東京 é €"


def test_an_unreadable_file_is_an_error_of_one_sentence(hand_bundle: Path, tmp_path: Path):
    broken = tmp_path / "broken.afit"
    broken.write_bytes(hand_bundle.read_bytes()[:-30])
    for command in (["inspect", str(broken)], ["predict", str(broken), str(broken)]):
        done = run(*command)
        assert done.exit_code == 2
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.output


def test_ctrl_c_while_a_module_is_loaded(monkeypatch: pytest.MonkeyPatch, hand_bundle: Path):
    def load(path: object) -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr("afterfit.runtime.load", load)
    done = run("verify", str(hand_bundle))
    assert (done.exit_code, done.output) == (130, "")
