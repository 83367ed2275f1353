"""`afterfit runs compare`."""

from __future__ import annotations

import click

from afterfit.cli._runs import open_index, show
from afterfit.cli._runs_completion import complete_run
from afterfit.cli._terminal import add_row, console, echo_json, table

_WIDTH = 120
"""Characters that the values of a row share."""


@click.command(
    short_help="Show in what runs differ, and nothing else.",
    epilog="""\b
Examples:
  afterfit runs compare 1a2b3c4d last
  afterfit runs compare 1a2b3c4d 5e6f7a8b 9c0d1e2f --json""",
)
@click.argument("runs", nargs=-1, required=True, shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def compare(runs: tuple[str, ...], as_json: bool) -> None:
    """Show in what two or more RUNS differ, and nothing else: code, data by column, packages, parameters, metrics."""
    from afterfit.errors import ArgumentError
    from afterfit.tracking import compare_runs, read_run, runs_folder

    index = open_index()
    ids = [index.find(run) for run in runs]
    if len(set(ids)) < 2:
        raise ArgumentError("a comparison needs two runs or more")
    differences = compare_runs([read_run(runs_folder() / run_id) for run_id in ids])
    if as_json:
        echo_json({"runs": ids, "differences": differences})
        return
    if not differences:
        click.echo("The runs do not differ.")
        return
    out = console()
    drawn = table(f"{len(differences):,} differences", "", *ids)
    for name, values in differences.items():
        add_row(drawn, name, *(show(value, width=_WIDTH // len(ids)) for value in values))
    if not out.is_terminal:
        out.width = 2 * _WIDTH
    out.print(drawn)
