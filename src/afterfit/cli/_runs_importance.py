"""`afterfit runs importance`."""

from __future__ import annotations

import math
from typing import Any

import click

from afterfit.cli._runs import find_direction, find_metric, open_index
from afterfit.cli._runs_completion import complete_column
from afterfit.cli._terminal import add_row, console, echo_json, progress_bar, shows_progress, table

_MANY = 5_000
"""Runs from which on resampling takes seconds."""


@click.command(
    short_help="Say which parameters matter, and how sure that is.",
    epilog="""\b
Examples:
  afterfit runs importance --metric val_loss
  afterfit runs importance --metric score --direction higher --where "name = flights" --json""",
)
@click.option(
    "--metric",
    required=True,
    shell_complete=complete_column,
    help="The metric that is explained: its best value of each run.",
)
@click.option(
    "--direction",
    type=click.Choice(["lower", "higher"]),
    help="Which values are good, if the name does not say.",
)
@click.option("--where", "-w", help="Only among the runs that this filter chooses.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def importance(metric: str, direction: str | None, where: str | None, as_json: bool) -> None:
    """Say which parameters, seed and data version among them, matter for METRIC: PED-ANOVA with bootstrap intervals.

    A share of 60 % says that of all that tells the best quarter of the runs from the others, 60 % lies in this
    parameter.
    """
    from afterfit.tracking import FEW, explain_metric

    index = open_index()
    name = find_metric(index, metric)
    direction = find_direction(name, direction)
    kind = "min" if direction == "lower" else "max"
    runs = [
        run
        for run in index.select(where, limit=None)[0]
        if isinstance(run.value(kind, name), float) and math.isfinite(run.value(kind, name))
    ]
    columns: dict[str, list[Any]] = {
        param: [run.params.get(param) for run in runs]
        for param in sorted({p for run in runs for p in run.params})
    }
    for attribute in ("seed", "data", "commit"):
        values = [run.attributes[attribute] for run in runs]
        # Where every run has its own, nothing can be said of any.
        if len(set(values)) <= len(values) / 2:
            columns[f"({attribute})"] = values
    values = [run.value(kind, name) for run in runs]
    with progress_bar("importance", shown=shows_progress() and len(runs) >= _MANY) as move:
        found = explain_metric(columns, values, lower=direction == "lower", move=move)
    if as_json:
        answer = [{field: getattr(one, field) for field in one.__slots__} for one in found]
        echo_json(
            {
                "metric": metric,
                "direction": direction,
                "runs": len(runs),
                "method": "PED-ANOVA",
                "importance": answer,
            }
        )
        return
    drawn = table(
        f"What matters for {metric}, by {len(runs):,} runs",
        "parameter",
        ">share",
        ">90 % interval",
        ">by chance",
        ">values",
    )
    for one in found:
        interval = f"{one.low:.0%} to {one.high:.0%}"
        add_row(drawn, one.name, f"{one.share:.0%}", interval, f"{one.chance:.3f}", one.values)
    console().print(drawn)
    click.echo("`by chance`: how often a parameter without influence would stand out as much.")
    if len(runs) < FEW:
        click.echo(f"This is a hint: {len(runs)} runs are few; {FEW} or more tell.")
