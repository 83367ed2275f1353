"""`afterfit runs`: the list, and the group of commands that read runs."""

from __future__ import annotations

import datetime as dt
import difflib
import importlib
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._runs_completion import complete_column
from afterfit.cli._terminal import (
    add_row,
    console,
    echo_plain_json,
    printable,
    progress_bar,
    shorten,
    shows_progress,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterfit.tracking import IndexedRun, RunIndex

_SUBCOMMANDS = {
    "show": "_runs_show",
    "compare": "_runs_compare",
    "plot": "_runs_plot",
    "best": "_runs_best",
    "importance": "_runs_importance",
}
_CELL = 28
_FIRST, _LAST = ("id", "name", "status"), ("duration", "started")
"""Columns before and after those of these runs: what a narrow terminal has no room for is what the id says too."""

_MOST_SHOWN = 3


class _RunsGroup(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _SUBCOMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, _SUBCOMMANDS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"a run is shown by `afterfit runs show {name}`"
            raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

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
@click.option(
    "--sort",
    default="started",
    show_default=True,
    shell_complete=complete_column,
    help="The column to sort by.",
)
@click.option("--ascending", is_flag=True, help="The smallest first, instead of the largest.")
@click.option("--columns", help="The columns to show, separated by commas.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The most runs to list.")
@click.option(
    "--no-parts",
    is_flag=True,
    help="Leave out runs that are a part of another, such as the candidates of a search.",
)
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
    no_parts: bool,
    reindex: bool,
    as_json: bool,
) -> None:
    """List training runs, the newest first; its commands show, compare and plot them."""
    if ctx.invoked_subcommand is not None:
        return
    index = open_index(rebuild=reindex)
    if no_parts:
        whole = "not parent ~ '-'"
        where = whole if where is None else f"({where}) and {whole}"
    found, count = index.select(where, sort=sort, descending=not ascending, limit=limit)
    if as_json:
        echo_plain_json({"count": count, "runs": [as_document(run) for run in found]})
        return
    if columns is None:
        first, last = ([("attributes", name) for name in names] for names in (_FIRST, _LAST))
        shown = [*first, *_usual(found), *last]
    else:
        shown = [index.resolve(name.strip()) for name in columns.split(",") if name.strip()]
    draw_runs(found, shown, f"{len(found):,} of {count:,} runs", fit=columns is None)


def open_index(*, rebuild: bool = False) -> RunIndex:
    """The index, with all that changed taken in."""
    from afterfit.tracking import RunIndex, runs_folder

    with ExitStack() as stack:
        bars: list[Callable[[float | None, str], None]] = []

        def move(fraction: float | None, note: str) -> None:
            # Drawn once there is something to wait for.
            if not bars:
                bars.append(stack.enter_context(progress_bar("reading runs", shown=shows_progress())))
            bars[0](fraction, note)

        index = RunIndex(runs_folder(), move)
        if rebuild:
            index.rebuild()
        else:
            index.refresh()
    return index


def find_metric(index: RunIndex, metric: str) -> str:
    """The name of a metric as runs have it. Raises `ArgumentError` that says which there are."""
    from afterfit.errors import ArgumentError

    name = metric.removeprefix("metrics.")
    known = [column.partition(".")[2] for column in index.columns(["metrics"])]
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ArgumentError(f"no run has a metric {name!r}; {hint}there are {', '.join(known[:60]) or 'none'}")


def find_direction(metric: str, given: str | None) -> str:
    """Whether low or high values are good. Raises `ArgumentError` where neither it is given nor the name says it."""
    from afterfit.errors import ArgumentError
    from afterfit.tracking import direction_of

    direction = given or direction_of(metric)
    if direction is None:
        raise ArgumentError(
            f"the name {metric!r} does not say whether low values are good; add --direction lower or higher"
        )
    return direction


def as_document(run: IndexedRun) -> dict[str, Any]:
    """A run of the list as JSON holds it."""
    return {**run.attributes, "params": run.params, "metrics": run.metrics, "tags": run.tags}


def draw_runs(
    found: list[IndexedRun], shown: list[tuple[str, str]], title: str, *, fit: bool = False
) -> None:
    """A table of runs with the given columns, by kind and name; with `fit`, of as many as a terminal has room for."""
    out = console()
    names = [name if kind in {"attributes", "params"} else f"{kind}.{name}" for kind, name in shown]
    rows = [[_cell(run, kind, name) for kind, name in shown] for run in found]
    widths = [max(map(len, column)) + 3 for column in zip(names, *rows, strict=True)]
    kept = len(shown)
    while fit and out.is_terminal and kept > 1 and sum(widths[:kept]) + 2 > out.width:
        kept -= 1
    drawn = table(
        title,
        *(
            ">" + n if kind not in {"attributes", "tags"} else n
            for n, (kind, _) in zip(names[:kept], shown[:kept], strict=True)
        ),
    )
    for column in drawn.columns:
        column.no_wrap = fit or not out.is_terminal
    for row in rows:
        add_row(drawn, *row[:kept])
    if not out.is_terminal:
        # Nobody's window is too narrow for a file, and half an id is none.
        out.width = max(out.width, sum(widths) + 2, len(title))
    out.print(drawn)
    if kept < len(shown):
        click.echo(f"Left out for want of room: {printable(', '.join(names[kept:]))}; --columns chooses.")


def _usual(found: list[IndexedRun]) -> list[tuple[str, str]]:
    """Of the parameters and metrics of these runs some: rather those that differ, and that many runs have."""
    chosen = []
    for kind in ("params", "metrics"):
        values: dict[str, list[str]] = {}
        for run in found:
            for name in getattr(run, kind):
                values.setdefault(name, []).append(repr(run.value(kind, name)))
        order = sorted(values, key=lambda n: (len(set(values[n])) == 1, -len(values[n]), n))
        chosen += [(kind, name) for name in order[:_MOST_SHOWN]]
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


def show(value: Any, attribute: str = "", width: int = _CELL) -> str:
    """A value in a cell of so many characters at most; `attribute` says what a time or a duration is."""
    if value is None:
        return ""
    if attribute in {"started", "ended"}:
        return dt.datetime.fromtimestamp(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if attribute == "duration":
        return f"{value:.1f} s" if value < 120 else str(dt.timedelta(seconds=round(value)))
    if isinstance(value, float):
        return f"{value:.6g}"
    return shorten(str(value), width)
