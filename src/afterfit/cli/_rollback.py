"""`afterfit rollback`."""

from __future__ import annotations

import click

from afterfit.cli._sources import by_option, json_option, open_store, split_alias, store_option
from afterfit.cli._terminal import echo_json


@click.command(
    epilog="""\b
Examples:
  afterfit rollback flights@production
  afterfit rollback flights@production --because "errors since noon\""""
)
@click.argument("reference", metavar="NAME@ALIAS")
@click.option("--because", default="", metavar="WHY", help="The reason, kept in the history.")
@by_option
@store_option
@json_option
def rollback(reference: str, *, because: str, by: str | None, url: str | None, as_json: bool) -> None:
    """Move an alias back to the version it had before its last promotion, at once and without gates.

    Again, it goes back one promotion further. Servers that follow the alias are on it within a second.
    """
    from afterfit.cli._show import describe_move

    name, alias = split_alias(reference)
    with open_store(url) as store:
        move = store.rollback(name, alias, because=because, by=by)
    if as_json:
        echo_json(describe_move(move))
    else:
        click.echo(f"{reference} is back on {name}@{move.to_number}; it was {name}@{move.from_number}")
