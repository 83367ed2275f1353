"""`afterfit runs best`."""

from __future__ import annotations

import click

from afterfit.cli._runs import as_document, draw_runs, find_direction, find_metric, open_index
from afterfit.cli._runs_completion import complete_column
from afterfit.cli._terminal import echo_json


@click.command(
    short_help="List the runs whose best value of a metric is best.",
    epilog="""\b
Examples:
  afterfit runs best --metric val_loss
  afterfit runs best --metric score --direction higher --where "status = finished" --limit 3""",
)
@click.option("--metric", required=True, shell_complete=complete_column, help="The metric that decides.")
@click.option(
    "--direction",
    type=click.Choice(["lower", "higher"]),
    help="Which values are good, if the name does not say.",
)
@click.option("--where", "-w", help="Only among the runs that this filter chooses.")
@click.option("--limit", type=click.IntRange(1), default=5, show_default=True, help="The most runs to list.")
@click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON.")
def best(metric: str, direction: str | None, where: str | None, limit: int, as_json: bool) -> None:
    """List the runs whose METRIC was best at any of their steps, the best first."""
    from afterfit.errors import ArgumentError

    index = open_index()
    name = find_metric(index, metric)
    direction = find_direction(name, direction)
    extreme = "min" if direction == "lower" else "max"
    member = "lowest_step" if direction == "lower" else "highest_step"
    found, _ = index.select(where, sort=f"{extreme}.{name}", descending=direction == "higher", limit=limit)
    found = [run for run in found if run.value(extreme, name) is not None]
    if not found:
        raise ArgumentError(f"no run that was chosen has a number of {metric!r}")
    if as_json:
        runs = [
            {"value": r.value(extreme, name), "step": r.metrics[name][member], **as_document(r)}
            for r in found
        ]
        echo_json({"metric": name, "direction": direction, "runs": runs})
        return
    params = list(dict.fromkeys(param for run in found for param in run.params))[:6]
    columns = [
        ("attributes", "id"),
        ("attributes", "name"),
        (extreme, name),
        *(("params", param) for param in params),
    ]
    draw_runs(found, columns, f"{'Lowest' if direction == 'lower' else 'Highest'} {name}", fit=True)
