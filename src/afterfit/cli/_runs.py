"""`afterfit runs`: the list, and the group of commands that read runs."""

from __future__ import annotations

import datetime as dt
import importlib
import time
from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._terminal import (
    add_row,
    console,
    echo_plain_json,
    progress_bar,
    shorten,
    shows_progress,
    table,
)

if TYPE_CHECKING:
    from afterfit.tracking import IndexedRun, RunIndex

_SUBCOMMANDS = {
    "show": "_runs_show",
    "compare": "_runs_compare",
    "plot": "_runs_plot",
    "best": "_runs_best",
    "importance": "_runs_importance",
}
_CELL = 28
_DEFAULT = ("id", "name", "status", "started", "duration")
_MOST_SHOWN = 3


class _RunsGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _SUBCOMMANDS:
            return None
        module = importlib.import_module(f"afterfit.cli.{_SUBCOMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(
    cls=_RunsGroup,
    invoke_without_command=True,
    epilog="""\b
Examples:
  afterfit runs
  afterfit runs --where "lr > 0.01 and min.val_loss < 0.3" --sort min.val_loss --ascending
  afterfit runs --columns id,lr,metrics.loss --limit 100
  afterfit runs compare 20260131-120000-1a2b3c4d last

A filter compares names with = != < <= > >= ~ (contains) and in (a, b), joined by and, or, not and
parentheses. Names: attributes such as status, parameters, metrics (the last value), min.NAME and
max.NAME, tags. Where a name could be several, write params.NAME, metrics.NAME or tags.NAME.""",
)
@click.option("--where", "-w", help="List only the runs that this filter chooses.")
@click.option("--sort", default="started", show_default=True, help="The column to sort by.")
@click.option("--ascending", is_flag=True, help="The smallest first, instead of the largest.")
@click.option("--columns", help="The columns to show, separated by commas.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The most runs to list.")
@click.option("--reindex", is_flag=True, help="Make the index anew from the files of the runs first.")
@click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON.")
@click.pass_context
def runs(
    ctx: click.Context,
    where: str | None,
    sort: str,
    ascending: bool,
    columns: str | None,
    limit: int,
    reindex: bool,
    as_json: bool,
) -> None:
    """List training runs, the newest first; its commands show, compare and plot them."""
    if ctx.invoked_subcommand is not None:
        return
    index = open_index(rebuild=reindex)
    found, count = index.select(where, sort=sort, descending=not ascending, limit=limit)
    if as_json:
        echo_plain_json({"count": count, "runs": [as_document(run) for run in found]})
        return
    if columns is None:
        shown = [("attributes", name) for name in _DEFAULT] + _usual(found)
    else:
        shown = [index.resolve(name.strip()) for name in columns.split(",") if name.strip()]
    draw_runs(found, shown, f"{len(found):,} of {count:,} runs")


def open_index(*, rebuild: bool = False) -> RunIndex:
    """The index, with all that changed taken in."""
    from afterfit.tracking import RunIndex, runs_folder

    with progress_bar("reading runs", shown=shows_progress()) as move:
        index = RunIndex(runs_folder(), move)
        if rebuild:
            index.rebuild()
        else:
            index.refresh()
    return index


def as_document(run: IndexedRun) -> dict[str, Any]:
    """A run of the list as JSON holds it."""
    return {**run.attributes, "params": run.params, "metrics": run.metrics, "tags": run.tags}


def draw_runs(found: list[IndexedRun], shown: list[tuple[str, str]], title: str) -> None:
    """A table of runs with the given columns, by kind and name."""
    names = [name if kind in {"attributes", "params"} else f"{kind}.{name}" for kind, name in shown]
    drawn = table(
        title,
        *(
            ">" + n if kind not in {"attributes", "tags"} else n
            for n, (kind, _) in zip(names, shown, strict=True)
        ),
    )
    for column, (_, name) in zip(drawn.columns, shown, strict=True):
        column.no_wrap = column.no_wrap or name in {"id", "status", "started", "duration"}
    for run in found:
        add_row(drawn, *(_cell(run, kind, name) for kind, name in shown))
    console().print(drawn)


def _usual(found: list[IndexedRun]) -> list[tuple[str, str]]:
    """The parameters and metrics that the most of these runs have."""
    chosen = []
    for kind in ("params", "metrics"):
        counts: dict[str, int] = {}
        for run in found:
            for name in getattr(run, kind):
                counts[name] = counts.get(name, 0) + 1
        chosen += [(kind, name) for name in sorted(counts, key=lambda n: (-counts[n], n))[:_MOST_SHOWN]]
    return chosen


def _cell(run: IndexedRun, kind: str, name: str) -> str:
    value = run.value(kind, name)
    if (
        kind == "attributes"
        and name == "duration"
        and value is None
        and run.attributes["status"] == "running"
    ):
        value = time.time() - run.attributes["started"]
    return show(value, name if kind == "attributes" else "")


def show(value: Any, attribute: str = "") -> str:
    """A value in a cell; `attribute` says what a time or a duration is."""
    if value is None:
        return ""
    if attribute in {"started", "ended"}:
        return dt.datetime.fromtimestamp(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if attribute == "duration":
        return f"{value:.1f} s" if value < 120 else str(dt.timedelta(seconds=round(value)))
    if isinstance(value, float):
        return f"{value:.6g}"
    return shorten(str(value), _CELL)
