"""`afterfit rerun`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._runs import open_index
from afterfit.cli._runs_completion import complete_run
from afterfit.cli._terminal import echo_json, printable

if TYPE_CHECKING:
    from afterfit.tracking import RunIndex, RunRecord


@click.command(
    epilog="""\b
Examples:
  afterfit rerun last
  afterfit rerun 1a2b3c4d --set lr=0.05 --set depth=8
  afterfit rerun 1a2b3c4d --folder again --anyway
  afterfit rerun 1a2b3c4d --repository ~/moved/flights --json

Exit codes: 0 equal or within noise, 1 different, 2 it could not be run again."""
)
@click.argument("run", shell_complete=complete_run)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a parameter; may be given several times.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="The empty folder to run in, which is kept; by default a temporary one, which is removed.",
)
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The git repository with the code, if it is no longer where it was.",
)
@click.option("--anyway", is_flag=True, help="Run although Python or packages are not those of the run.")
@click.option("--ignore", "ignored", multiple=True, metavar="METRIC", help="Do not compare this metric.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    help="Relative difference of values that counts as noise [default: 1e-06].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.pass_context
def rerun(
    ctx: click.Context,
    run: str,
    changes: tuple[str, ...],
    folder: Path | None,
    repository: Path | None,
    anyway: bool,
    ignored: tuple[str, ...],
    tolerance: float | None,
    as_json: bool,
) -> None:
    """Make RUN again from its record: code, uncommitted changes, command, parameters, seeds; and judge how it came out.

    The script finds changed parameters in `run.params`. Code that was recorded is run: rerun only what you
    would run yourself.
    """
    from afterfit.errors import ArgumentError
    from afterfit.tracking import (
        TOLERANCE,
        environment_differences,
        judge,
        read_run,
        repeat,
        restore_code,
        runs_folder,
    )

    index = open_index()
    before = read_run(runs_folder() / index.find(run))
    origin = _origin(before)
    unlike = environment_differences(before)
    if unlike and not anyway:
        more = f" and {len(unlike) - 8} more" if len(unlike) > 8 else ""
        raise ArgumentError(
            f"this environment is not that of the run: {'; '.join(unlike[:8])}{more}. Install the versions of "
            f"the run, which `afterfit runs show {before.id} --requirements` prints, or add --anyway"
        )
    known = {found.attributes["id"] for found in _again(index, origin)}
    with tempfile.TemporaryDirectory(prefix="afterfit-rerun-") as temporary:
        place = (folder if folder is not None else Path(temporary) / "code").resolve()
        missing = restore_code(origin, place, repository)
        if missing:
            click.echo(f"Not on record: {printable(', '.join(missing))}", err=True)
        command = " ".join(origin.context["command"][1:])
        click.echo(f"Running {printable(command)} in {printable(str(place))}", err=True)
        params = {} if origin is before else before.params
        code = repeat(origin, place, {**params, **dict(map(_change, changes))})
    index.refresh()
    made = [found for found in _again(index, origin) if found.attributes["id"] not in known]
    if not made:
        raise ArgumentError(
            f"the command ended with exit code {code} and recorded no run named {before.name!r}"
        )
    after = read_run(runs_folder() / made[0].attributes["id"])
    verdict = judge(
        before,
        after,
        _repeats(index, before),
        tolerance=TOLERANCE if tolerance is None else tolerance,
        ignored=ignored,
    )
    if as_json:
        echo_json(
            {
                "run": before.id,
                "rerun": after.id,
                "outcome": verdict.outcome,
                "reasons": list(verdict.reasons),
            }
        )
    else:
        click.echo(f"{verdict.outcome}: run {after.id} against {before.id}")
        for reason in verdict.reasons:
            click.echo(f"  {printable(reason)}")
    ctx.exit(1 if verdict.outcome == "different" else 0)


def _origin(record: RunRecord) -> RunRecord:
    """The run whose record has the code and the command: of a run that was made again, the one it was made from."""
    from afterfit.tracking import read_run, runs_folder

    folder = None if record.rerun_of is None else runs_folder() / record.rerun_of
    return record if folder is None or not folder.is_dir() else read_run(folder)


def _again(index: RunIndex, before: RunRecord) -> list[Any]:
    return index.select(f"rerun_of = '{before.id}'", limit=None)[0]


def _repeats(index: RunIndex, before: RunRecord) -> list[RunRecord]:
    """Earlier finished runs of the same code, data and parameters, whatever their seeds."""
    from afterfit.tracking import configuration, read_run, runs_folder

    own = {name: value for name, value in configuration(before).items() if name != "command"}
    text = before.name.replace("'", "")
    found, _ = index.select(f"name = '{text}' and status = finished", limit=200)
    records = [
        read_run(runs_folder() / run.attributes["id"]) for run in found if run.attributes["rerun_of"] is None
    ]
    return [r for r in records if {k: v for k, v in configuration(r).items() if k != "command"} == own]


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--set takes NAME=VALUE, and {text!r} is none")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
