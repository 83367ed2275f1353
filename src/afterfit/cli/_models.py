"""`afterfit models`."""

from __future__ import annotations

from typing import Any

import click

from afterfit.cli._sources import json_option, open_store, store_option
from afterfit.cli._terminal import add_row, console, echo_json, table


@click.command(
    epilog="""\b
Examples:
  afterfit models
  afterfit models --json"""
)
@store_option
@json_option
def models(*, url: str | None, as_json: bool) -> None:
    """List the models in the store: how many versions each has, and where its aliases are."""
    found: list[dict[str, Any]] = []
    with open_store(url) as store:
        for name in store.names():
            last = store.versions(name)[-1]
            found.append(
                {
                    "name": name,
                    "versions": last.number,
                    "latest": last.digest,
                    "pushed_at": last.pushed_at,
                    "task": last.task,
                    "made_with": last.made_with,
                    "aliases": store.aliases(name),
                }
            )
        place = str(store.place)
    if as_json:
        echo_json({"store": place, "models": found})
        return
    drawn = table(f"Models in {place}", "name", ">versions", "aliases", "latest", "made with")
    for one in found:
        aliases = ", ".join(f"{alias} {number}" for alias, number in one["aliases"].items())
        add_row(drawn, one["name"], one["versions"], aliases, str(one["pushed_at"])[:19], one["made_with"])
    console().print(drawn)
