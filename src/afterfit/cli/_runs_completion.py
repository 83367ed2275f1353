"""What a shell is offered where a run, a metric or a column is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import click
    from click.shell_completion import CompletionItem

    from afterfit.tracking import RunIndex

T = TypeVar("T")


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest runs whose id begins so, and `last`; none where there are no runs."""
    del ctx, param
    from click.shell_completion import CompletionItem

    found = _known(lambda index: index.begin_with(incomplete))
    last = [("last", "the newest run")] if found and "last".startswith(incomplete) else []
    return [CompletionItem(value, help=note) for value, note in [*last, *found]]


def complete_column(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The columns that begin so; of `--metric` the metrics, without their prefix."""
    del ctx
    from afterfit.tracking import KINDS

    if param.name in {"metric", "metrics"}:
        names = [name.partition(".")[2] for name in _known(lambda index: index.columns(["metrics"]))]
    else:
        names = _known(lambda index: index.columns(KINDS))
    return [name for name in names if name.startswith(incomplete)]


def _known(ask: Callable[[RunIndex], list[T]]) -> list[T]:
    """What the index knows as it is, since a shell that completes waits for no reading of runs, and shows no errors."""
    from afterfit.errors import ArgumentError
    from afterfit.tracking import RunIndex, runs_folder

    try:
        return ask(RunIndex(runs_folder()))
    except ArgumentError:
        return []
