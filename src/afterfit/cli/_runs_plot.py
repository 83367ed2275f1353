"""`afterfit runs plot`."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from afterfit.cli._runs import open_index
from afterfit.cli._runs_completion import complete_column, complete_run
from afterfit.cli._terminal import echo_json

if TYPE_CHECKING:
    from afterfit.tracking import Panel, RunRecord

_WIDTH = 100


@click.command(
    short_help="Draw the curves of runs.",
    epilog="""\b
Examples:
  afterfit runs plot last
  afterfit runs plot 1a2b3c4d 5e6f7a8b --metric val_loss
  afterfit runs plot last --output curves.svg""",
)
@click.argument("runs", nargs=-1, required=True, shell_complete=complete_run)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    shell_complete=complete_column,
    help="Draw this metric only; may be given several times.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a .svg or .png file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the points that would be drawn as JSON.")
def plot(runs: tuple[str, ...], metrics: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Draw the curves of RUNS, in the terminal or to a file. However long they are, no extreme is left out."""
    from afterfit.errors import ArgumentError
    from afterfit.tracking import draw_png, draw_svg, read_run, runs_folder

    if output is not None and output.suffix.lower() not in {".png", ".svg"}:
        raise ArgumentError(f"curves are written as .svg or .png, and {output} is neither")
    index = open_index()
    records = {run_id: read_run(runs_folder() / run_id) for run_id in map(index.find, runs)}
    panels = _panels(records, metrics)
    if as_json:
        echo_json(
            {panel.metric: {label: _columns(runs) for label, runs in panel.runs.items()} for panel in panels}
        )
    elif output is None:
        _print(panels)
    else:
        output.write_bytes(draw_png(panels) if output.suffix.lower() == ".png" else draw_svg(panels).encode())


def _panels(records: dict[str, RunRecord], metrics: tuple[str, ...]) -> list[Panel]:
    from afterfit.errors import ArgumentError
    from afterfit.tracking import panel_of

    known = list(dict.fromkeys(name for record in records.values() for name in record.series))
    unknown = [name for name in metrics if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ArgumentError(
            f"these runs have no metric {unknown[0]!r}; {hint}they have {', '.join(known) or 'none'}"
        )
    labels = {run_id: record.name if len(records) == 1 else run_id for run_id, record in records.items()}
    drawn = [
        panel_of(name, {labels[i]: r.series[name] for i, r in records.items() if name in r.series})
        for name in metrics or known
    ]
    panels = [panel for panel in drawn if panel is not None]
    if not panels:
        raise ArgumentError("these runs have logged no number that could be drawn")
    return panels


def _columns(runs: list[list[tuple[float, float]]]) -> dict[str, list[float]]:
    """Steps and values of a curve; it is parted where a value is not finite."""
    points = [point for run in runs for point in run]
    return {"step": [step for step, _ in points], "value": [value for _, value in points]}


def _print(panels: list[Panel]) -> None:
    from rich.text import Text

    from afterfit.cli._terminal import console
    from afterfit.tracking import draw_plot

    out = console()
    # Braille needs a terminal that shows it, and colour to tell the curves apart.
    colour = out.is_terminal and not out.no_color and out.encoding.startswith("utf")
    for line in draw_plot(panels, min(out.width, _WIDTH), colour=colour):
        text = Text(no_wrap=True, overflow="crop")
        for mark in line:
            text.append(mark.text, mark.colour)
        out.print(text)
