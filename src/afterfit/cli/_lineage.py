"""`afterfit lineage`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._sources import json_option, open_store, store_option
from afterfit.cli._terminal import console, echo_json, printable, progress_bar, shorten, shows_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.tree import Tree

    from afterfit.lineage import Lineage
    from afterfit.store import Store
    from afterfit.tracking import RunIndex

_WIDEST = 400
_MOST = 40
"""Things below one thing that are drawn; `--json` has all of them."""


@click.command(
    epilog="""\b
Examples:
  afterfit lineage flights@production
  afterfit lineage flights.afit
  afterfit lineage 20260131-120000-1a2b3c4d
  afterfit lineage sha256:4f0c21ab --json"""
)
@click.argument("asked", metavar="X")
@store_option
@json_option
def lineage(asked: str, *, url: str | None, as_json: bool) -> None:
    """Show what X was made from, and what came of it: data, run, bundle, version, moves of aliases, served answers.

    X is any of these: a bundle's file, a name in the store (flights, flights@3, flights@production), the id of a run
    or `last`, or a digest of data or of a bundle (8 digits or more; the version that an answer of the server names
    is one), and is marked by ◀. Servers that serve from the store write down what they answer every few seconds.
    """
    from afterfit.lineage import trace

    with progress_bar("reading runs", shown=shows_progress()) as move:
        store, runs = _open(url), _open_runs(move)
        try:
            found = trace(asked, store, runs)
        finally:
            if store is not None:
                store.close()
    if as_json:
        echo_json(
            {
                "asked": asked,
                "starts": found.starts,
                "nodes": [asdict(node) for node in found.nodes.values()],
                "edges": [list(edge) for edge in found.edges],
            }
        )
        return
    out = console()
    if not out.is_terminal:
        out.width = _WIDEST  # a thing is a line, for whoever searches the lines
    drawn: set[str] = set()
    for root in found.roots():
        out.print(_draw(found, root, drawn))


def _open(url: str | None) -> Store | None:
    """The store; None where there is none, and none was named."""
    from afterfit.errors import StoreError
    from afterfit.store import find_place

    try:
        find_place(url)
    except StoreError:
        if url is not None:
            raise
        return None
    return open_store(url)


def _open_runs(move: Callable[[float | None, str], None]) -> RunIndex | None:
    from afterfit.errors import ArgumentError
    from afterfit.tracking import RunIndex, runs_folder

    try:
        folder = runs_folder()
    except ArgumentError:
        return None
    index = RunIndex(folder, move)
    index.refresh()
    return index


def _draw(found: Lineage, root: str, drawn: set[str]) -> Tree:
    from rich.tree import Tree

    tree = Tree(_label(found, root, drawn), guide_style="dim")
    _grow(found, root, tree, drawn)
    return tree


def _grow(found: Lineage, key: str, tree: Tree, drawn: set[str]) -> None:
    """Draw what came of a thing; what several things had a part in is drawn below the first of them."""
    if key in drawn:
        return
    drawn.add(key)
    children = found.children(key)
    for child in children[:_MOST]:
        _grow(found, child, tree.add(_label(found, child, drawn)), drawn)
    if len(children) > _MOST:
        tree.add(f"{len(children) - _MOST:,} more with --json")


def _label(found: Lineage, key: str, drawn: set[str]) -> Any:
    from rich.text import Text

    node = found.nodes[key]
    words = _WORDS[node.kind](node.facts)
    if key in drawn and found.children(key):
        words += " (drawn above)"
    words = shorten(words, 200)
    return Text(f"{words}  ◀", "bold cyan") if key in found.starts else Text(words)


def _data(facts: dict[str, Any]) -> str:
    rows = "" if facts["rows"] is None else f", {facts['rows']:,} rows"
    return f"data {facts['name'] or ''} sha256:{facts['sha256'][:12]}{rows}".replace("  ", " ")


def _run(facts: dict[str, Any]) -> str:
    told = [f"run {facts['id']} ({facts['name']})"]
    if facts["recorded_here"]:
        started = datetime.fromtimestamp(facts["started"], UTC)
        told.append(f"{facts['status']}, began {started:%Y-%m-%d %H:%M:%S} UTC")
    else:
        told.append("recorded elsewhere")
    if facts["code"]:
        told.append(f"code {facts['code'][:12]}{' and changes' if facts['uncommitted'] else ''}")
    told += [f"{name.replace('_', ' ')} {facts[name]}" for name in ("parent", "rerun_of") if facts[name]]
    return ", ".join(told)


def _bundle(facts: dict[str, Any]) -> str:
    return f"bundle sha256:{facts['sha256'][:12]}" + (f", {facts['path']}" if facts["path"] else "")


def _version(facts: dict[str, Any]) -> str:
    return f"{facts['name']}@{facts['number']}, pushed {_time(facts['pushed_at'])} by {facts['pushed_by']}"


def _move(facts: dict[str, Any]) -> str:
    until = "now" if facts["until"] is None else _time(facts["until"])
    why = f": {facts['because']}" if facts["because"] else ""
    how = "promoted" if facts["kind"] == "promote" else "rolled back"
    before = "" if facts["from"] is None else f" in place of {facts['from']}"
    return f"{facts['alias']} from {_time(facts['at'])} to {until}, {how}{before} by {facts['by']}{why}"


def _answers(facts: dict[str, Any]) -> str:
    times = f"{_time(facts['first_at'])} to {_time(facts['last_at'])}"
    return f"{facts['rows']:,} rows answered as {facts['model']}, {times}, by {facts['server'].partition(' ')[0]}"


def _time(text: str) -> str:
    """A moment in UTC, to the second."""
    return printable(text[:19].replace("T", " "))


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "data": _data,
    "run": _run,
    "bundle": _bundle,
    "version": _version,
    "move": _move,
    "answers": _answers,
}
