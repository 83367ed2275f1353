"""`afterfit show`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._sources import json_option, open_store, store_option
from afterfit.cli._terminal import add_row, console, echo_json, printable, table

if TYPE_CHECKING:
    from afterfit.store import Move, Version


@click.command(
    epilog="""\b
Examples:
  afterfit show flights@production
  afterfit show flights@3 --json"""
)
@click.argument("reference", metavar="REF")
@store_option
@json_option
def show(reference: str, *, url: str | None, as_json: bool) -> None:
    """Show the version that REF names, and every move of the aliases that name it, or of the alias in REF.

    `afterfit inspect REF` shows what is inside the bundle.
    """
    from afterfit.store import parse_reference

    asked = parse_reference(reference)
    with open_store(url) as store:
        version = store.resolve(asked)
        aliases = store.aliases(version.name)
        history = store.history(version.name, asked.alias)
        signatures = len(store.signatures(version))
    named = [alias for alias, number in aliases.items() if number == version.number]
    moves = [
        move
        for move in history
        if asked.alias is not None or version.number in {move.from_number, move.to_number}
    ]
    if as_json:
        history_as_json = [describe_move(move) for move in moves]
        facts_of_it = {**describe_version(version), "aliases": named, "signatures": signatures}
        echo_json({**facts_of_it, "history": history_as_json})
        return
    facts = {
        "version": str(version),
        "aliases": ", ".join(named),
        "digest": f"sha256:{version.digest}",
        "file": f"{version.size:,} bytes, sha256:{version.blob}",
        "pushed": f"{version.pushed_at[:19]} by {version.pushed_by}",
        "model": f"{version.made_with} ({version.task})",
        "data": f"sha256:{version.data_sha256}",
        "run": version.run_id or "",
        "signatures": f"{signatures}; `afterfit verify {version} --key` says whether you trust one"
        if signatures
        else "",
        **{f"metric {name}": str(value) for name, value in version.metrics.items()},
    }
    width = max(map(len, facts))
    for label, fact in facts.items():
        if fact:
            click.echo(f"{printable(label):<{width}}  {printable(fact)}")
    if moves:
        click.echo()
        drawn = table("History", "when", "alias", "what", ">from", ">to", "who", "why")
        for move in moves:
            before = "" if move.from_number is None else move.from_number
            add_row(
                drawn,
                move.moved_at[:19],
                move.alias,
                move.kind,
                before,
                move.to_number,
                move.moved_by,
                move.because,
            )
        console().print(drawn)


def describe_version(version: Version) -> dict[str, Any]:
    """A version as a document."""
    return {**asdict(version), "ref": str(version), "metrics": dict(version.metrics)}


def describe_move(move: Move) -> dict[str, Any]:
    """A move as a document."""
    return {**asdict(move), "evidence": dict(move.evidence)}
