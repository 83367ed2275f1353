"""`afterfit gc`."""

from __future__ import annotations

import click

from afterfit.cli._sources import json_option, open_store, store_option
from afterfit.cli._terminal import echo_json


@click.command(
    epilog="""\b
Examples:
  afterfit gc
  afterfit gc --json"""
)
@store_option
@json_option
def gc(*, url: str | None, as_json: bool) -> None:
    """Remove what pushes that were killed left in the store; no version is ever removed.

    Safe while others use the store.
    """
    with open_store(url) as store:
        collected = store.collect()
    if as_json:
        echo_json({"blobs": list(collected.blobs), "drafts": collected.drafts})
    else:
        click.echo(f"{len(collected.blobs)} unused bundles and {collected.drafts} half-written files removed")
