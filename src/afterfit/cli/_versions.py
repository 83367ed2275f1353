"""`afterfit versions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from afterfit.cli._sources import json_option, open_store, store_option
from afterfit.cli._terminal import add_row, console, echo_json, shorten, table

if TYPE_CHECKING:
    from collections.abc import Mapping

_METRICS_SHOWN = 4


@click.command(
    epilog="""\b
Examples:
  afterfit versions flights
  afterfit versions flights --json | jq '.versions[-1].metrics'"""
)
@click.argument("name")
@store_option
@json_option
def versions(name: str, *, url: str | None, as_json: bool) -> None:
    """List the versions of NAME, the newest first, with the aliases that name them."""
    from afterfit.cli._show import describe_version

    with open_store(url) as store:
        found = store.versions(name)[::-1]
        aliases = store.aliases(name)
    of_number = {
        version.number: [alias for alias, number in aliases.items() if number == version.number]
        for version in found
    }
    if as_json:
        documents = [{**describe_version(one), "aliases": of_number[one.number]} for one in found]
        echo_json({"name": name, "versions": documents})
        return
    drawn = table(f"Versions of {name}", ">", "aliases", "digest", "pushed", "by", "metrics")
    for one in found:
        named = ", ".join(of_number[one.number])
        metrics = _in_words(one.metrics)
        add_row(drawn, one.number, named, one.digest[:12], one.pushed_at[:19], one.pushed_by, metrics)
    console().print(drawn)


def _in_words(metrics: Mapping[str, object]) -> str:
    shown = [
        f"{name} {value:.6g}"
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return shorten(", ".join(shown[:_METRICS_SHOWN]), 80)
