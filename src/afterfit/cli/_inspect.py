"""`afterfit inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._sources import BundlePath
from afterfit.cli._terminal import add_row, console, echo_json, printable, shorten, table

if TYPE_CHECKING:
    from rich.console import Console

    from afterfit.bundle import Bundle, Parity
    from afterfit.schema import Column

_CATEGORIES_SHOWN = 4
_FACTS_SHOWN = 40
_CELL = 60
_PLOT_WIDTH = 100
_HISTORY = "training/history.json"


@click.command(
    epilog="""\b
Examples:
  afterfit inspect flights.afit
  afterfit inspect flights.afit --curves training.png
  afterfit inspect flights.afit --json | jq '.schema.columns[].name'"""
)
@click.argument("bundle", type=BundlePath())
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--curves",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the training curves to this .svg or .png file instead.",
)
def inspect(bundle: Path, as_json: bool, curves: Path | None) -> None:
    """Show what is inside BUNDLE: the model, its columns and answers, the files, what was proved.

    The curves of its training are drawn, if it was saved with a history. The bundle is audited first. Its golden
    rows are not replayed; `afterfit verify` does that.
    """
    from afterfit.bundle import read_bundle

    opened = read_bundle(bundle)
    if curves is not None:
        _write_curves(opened, curves)
    elif as_json:
        echo_json(describe(opened, bundle))
    else:
        _draw(opened, bundle)


def describe(bundle: Bundle, path: Path) -> dict[str, Any]:
    """All that `inspect` tells, as a document."""
    import msgspec

    manifest: dict[str, Any] = msgspec.to_builtins(bundle.manifest)
    files = manifest.pop("files")
    return {
        "path": str(path),
        "size": path.stat().st_size,
        "digest": bundle.digest,
        "version": bundle.version,
        **manifest,
        "schema": msgspec.to_builtins(bundle.schema),
        "golden_rows": len(bundle.golden),
        "entries": [{"name": name, **record} for name, record in files.items()],
        "environment": _read_json(bundle, "environment.json"),
        "training": {
            name.removeprefix("training/").removesuffix(".json"): _read_json(bundle, name)
            for name in sorted(bundle.entries)
            if name.startswith("training/") and name.endswith(".json")
        },
        "best": _best(bundle),
    }


def _draw(bundle: Bundle, path: Path) -> None:
    out = console()
    _draw_head(out, bundle, path)
    columns = table(f"Columns ({len(bundle.schema.columns)})", "name", "type", "values", "example")
    for column in bundle.schema.columns:
        example = "" if column.example is None else shorten(_show(column.example), _CELL)
        add_row(columns, column.name, _type_in_words(column), _values_in_words(column), example)
    out.print(columns)
    outputs = table("Answers", "output", "type", "shape", "classes or columns")
    for output in bundle.schema.outputs:
        shape = "[" + ", ".join("rows" if size == -1 else str(size) for size in output.shape) + "]"
        parts = output.classes if output.classes is not None else output.columns or ()
        add_row(outputs, output.name, output.type, shape, _list_shortened(parts))
    out.print(outputs)
    entries = table("Entries", "name", ">bytes", "SHA-256")
    for name, record in bundle.manifest.files.items():
        add_row(entries, name, f"{record.size:,}", record.sha256)
    out.print(entries)
    _draw_facts(out, "Environment", _read_json(bundle, "environment.json"))
    for name in sorted(bundle.entries):
        if name in {"training/params.json", "training/metrics.json"}:
            _draw_facts(out, f"Training {Path(name).stem}", _read_json(bundle, name))
    _draw_curves(out, bundle)


def _draw_head(out: Console, bundle: Bundle, path: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    manifest = bundle.manifest
    head = Table.grid(padding=(0, 2))
    head.add_column(style="bold")
    head.add_column(overflow="fold")
    methods = ", ".join(f"{method} -> {output}" for method, output in manifest.entry_points.items())
    size = path.stat().st_size
    facts = {
        "name": f"{manifest.name} ({manifest.task})",
        "description": manifest.description or "",
        "model": f"{manifest.framework.model}, {manifest.framework.name} {manifest.framework.version}",
        "methods": methods,
        "version": bundle.version,
        "digest": f"sha256:{bundle.digest}",
        "file": f"format {manifest.format}, {size:,} bytes, saved by {manifest.lineage.saved_by}",
        "data": f"{manifest.lineage.data_rows:,} rows, sha256:{manifest.lineage.data_sha256}",
        "proved": parity_in_words(manifest.parity),
    }
    for label, fact in facts.items():
        if fact:
            head.add_row(label, Text(shorten(fact, 1000)))
    out.print(head)
    out.print()


def parity_in_words(parity: Parity) -> str:
    """What was proved when the bundle was saved, as a sentence."""
    ties = f" ({parity.ties:,} exact ties apart)" if parity.ties else ""
    return (
        f"{parity.rows:,} of {parity.rows_given:,} rows and {parity.golden_rows:,} golden rows were replayed "
        f"when it was saved: {parity.labels_different:,} labels differ{ties}; the largest error of a number "
        f"is {parity.max_error:.1e} of its output's scale, {parity.tolerance:.0e} is allowed "
        f"({parity.precision})"
    )


def _type_in_words(column: Column) -> str:
    words: str = column.type
    if column.shape is not None:
        words += f" [{', '.join('any' if size == -1 else str(size) for size in column.shape)}]"
    if column.nullable:
        words += " or missing"
    return words + (", not read" if column.input is None else "")


def _values_in_words(column: Column) -> str:
    if column.categories is not None:
        values = column.categories.values
        kind = "others too" if column.categories.open else "no others"
        return f"{len(values):,} values, {kind}: {_list_shortened(values)}"
    words = [] if column.range is None else [f"{_show(column.range[0])} to {_show(column.range[1])}"]
    if column.bounds is not None:
        words.append(f"must be {column.bounds.in_words()}")
    return "; ".join(words)


def _list_shortened(values: tuple[Any, ...]) -> str:
    shown = ", ".join(shorten(_show(value), 24) for value in values[:_CATEGORIES_SHOWN])
    return shown + (f", ... ({len(values):,})" if len(values) > _CATEGORIES_SHOWN else "")


def _show(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    # Quoted where a reader would otherwise see nothing, or take the text for a number.
    if isinstance(value, str) and (not value.strip() or value[:1].isdigit()):
        return f'"{value}"'
    return str(value)


def _draw_facts(out: Console, title: str, document: Any) -> None:
    facts = list(_flatten(document))
    if not facts:
        return
    drawn = table(title, "", "")
    drawn.show_header = False
    for name, value in facts[:_FACTS_SHOWN]:
        add_row(drawn, shorten(name, _CELL), shorten(value, _CELL))
    if len(facts) > _FACTS_SHOWN:
        add_row(drawn, "...", f"{len(facts) - _FACTS_SHOWN:,} more with --json")
    out.print(drawn)


def _flatten(document: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(document, dict) and document:
        return [
            fact
            for key, value in document.items()
            for fact in _flatten(value, f"{path}.{key}" if path else str(key))
        ]
    return [] if document is None else [(path, document if isinstance(document, str) else _show(document))]


def _draw_curves(out: Console, bundle: Bundle) -> None:
    from rich.text import Text

    from afterfit.errors import ArgumentError
    from afterfit.tracking import draw_plot, read_curves

    content = bundle.entries.get(_HISTORY)
    if content is None:
        return
    out.print(Text("Training curves", "bold"))
    try:
        curves = read_curves(content)
    except ArgumentError as error:
        out.print(Text(printable(str(error))))
        return
    # Braille needs a terminal that shows it, and colour to tell the curves apart.
    colour = out.is_terminal and not out.no_color and out.encoding.startswith("utf")
    for line in draw_plot(curves, min(out.width, _PLOT_WIDTH), colour=colour):
        text = Text(no_wrap=True, overflow="crop")
        for mark in line:
            text.append(mark.text, mark.colour)
        out.print(text)


def _write_curves(bundle: Bundle, target: Path) -> None:
    from afterfit.errors import ArgumentError
    from afterfit.tracking import draw_png, draw_svg, read_curves

    suffix = target.suffix.lower()
    if suffix not in {".png", ".svg"}:
        raise ArgumentError(f"curves are written as .svg or .png, and {target} is neither")
    content = bundle.entries.get(_HISTORY)
    if content is None:
        raise ArgumentError(f"{bundle.manifest.name} was saved without a history; give one to afterfit.save")
    curves = read_curves(content)
    target.write_bytes(draw_png(curves) if suffix == ".png" else draw_svg(curves).encode())


def _best(bundle: Bundle) -> dict[str, Any] | None:
    """For each metric whose name says what is good, its best step; None without curves."""
    import msgspec

    from afterfit.errors import ArgumentError
    from afterfit.tracking import best_of, read_curves

    try:
        curves = read_curves(bundle.entries[_HISTORY])
    except (KeyError, ArgumentError):
        return None
    found = {metric: best_of(metric, curves) for metric in curves.metrics}
    return {metric: msgspec.to_builtins(best) for metric, best in found.items() if best is not None}


def _read_json(bundle: Bundle, name: str) -> Any:
    import msgspec

    content = bundle.entries.get(name)
    return None if content is None else msgspec.json.decode(content)
