"""The command `afterfit`: finds its subcommands, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from afterfit._version import __version__
from afterfit.cli._terminal import printable
from afterfit.errors import AfterfitError, SignatureError, StartError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "demo": ("_demo", "The main job on real data, end to end."),
    "inspect": ("_inspect", "Show what is inside a bundle."),
    "verify": ("_verify", "Prove again that a bundle is whole and answers as saved."),
    "sign": ("_sign", "Sign a bundle, for whoever trusts your key."),
    "predict": ("_predict", "Score a file of rows."),
    "export": ("_export", "Write the arrays of a model as JSON."),
    "serve": ("_serve", "Serve models over HTTP."),
    "keys": ("_keys", "Make, list and revoke the keys that a server asks for."),
    "loadtest": ("_loadtest", "Send load to a server, and check every answer."),
    "adopt": ("_adopt", "Save a model that lies in files of another library."),
    "push": ("_push", "Keep a bundle in the store as the next version of its name."),
    "pull": ("_pull", "Write a bundle of the store to a file."),
    "models": ("_models", "List the models in the store."),
    "versions": ("_versions", "List the versions of a model."),
    "show": ("_show", "Show a version, and the history of its aliases."),
    "diff": ("_diff", "Show in what two bundles differ."),
    "promote": ("_promote", "Move an alias to a version, once its gates hold."),
    "rollback": ("_rollback", "Move an alias back to the version before."),
    "gc": ("_gc", "Remove what killed pushes left in the store."),
    "lineage": ("_lineage", "Follow a model to its data and its answers, both ways."),
    "runs": ("_runs", "List training runs; show, compare and plot them."),
    "rerun": ("_rerun", "Make a recorded run again, and say whether it came out the same."),
    "completion": ("_completion", "Print the script that completes commands in a shell."),
}
"""Each command's module and its line in the list of commands, so that the list needs no import of them."""

OK, FAILED, BAD_INPUT = 0, 1, 2
INTERRUPTED, BROKEN_PIPE = 130, 141
"""Exit codes: the check failed; bad usage or input; ended by Ctrl-C; nobody reads the output any more."""


class CommandGroup(click.Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order of the list."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"afterfit.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was asked for; a misspelt one is answered with the nearest."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line, and exit with its code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name or "afterfit", complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            code = BAD_INPUT
        except click.ClickException as error:
            code = _refuse(_sentence(error))
        except click.Abort:
            code = INTERRUPTED
        except BrokenPipeError:
            code = _silence()
        sys.exit(code if isinstance(code, int) else OK)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and translate what it raises."""
        try:
            return super().invoke(ctx)
        except (SignatureError, StartError) as error:
            _refuse(str(error))
            ctx.exit(FAILED)
        except AfterfitError as error:
            ctx.exit(_refuse(str(error)))
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except ImportError as error:
            # A module in C that is being loaded may turn Ctrl-C into an error of its own.
            if not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            ctx.exit(_silence())
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            ctx.exit(_refuse(f"{place}{error.strerror or error}"))


@click.group(
    "afterfit",
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  afterfit demo
  afterfit inspect flights.afit
  afterfit predict flights.afit july.csv -o answers.csv
  afterfit serve flights.afit

Exit codes: 0 ok, 1 the check failed, 2 bad usage or input.""",
)
@click.version_option(__version__, message="afterfit %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Everything after .fit(): inspect, verify, score with and serve saved models."""
    # None lets click ask whether what it writes to is a terminal.
    ctx.color = _colour()


def main() -> NoReturn:
    """Run the command line of this process."""
    try:
        cli.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    raise AssertionError("cli.main exits")


def _sentence(error: click.ClickException) -> str:
    message = error.format_message()
    if isinstance(error, click.UsageError) and error.ctx is not None:
        end = "" if message.endswith((".", "?")) else "."
        return f"{message}{end} Try '{error.ctx.command_path} --help'."
    return message


def _refuse(message: str) -> int:
    """Say on standard error what is wrong; the lines after the first are details."""
    lines = [printable(line) for line in message.splitlines()]
    click.echo(f"{click.style('Error:', fg='red')} " + "\n".join(lines), err=True, color=_colour())
    return BAD_INPUT


def _colour() -> bool | None:
    """False under NO_COLOR, otherwise None: a terminal is coloured."""
    return False if os.environ.get("NO_COLOR") else None


def _silence() -> int:
    """Nobody reads standard output any more: keep the interpreter from writing to it once more at its end."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - stays open until the process ends
    return BROKEN_PIPE
