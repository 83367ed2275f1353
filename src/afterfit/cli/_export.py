"""`afterfit export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from afterfit.cli._sources import BundlePath

if TYPE_CHECKING:
    from afterfit.bundle import Bundle

_PARAMETERS = "parameters.json"


@click.command(
    epilog="""\b
Examples:
  afterfit export elman.afit --format json
  afterfit export elman.afit --format json -o elman.json"""
)
@click.argument("bundle", type=BundlePath())
@click.option(
    "--format",
    "as_format",
    type=click.Choice(["json"]),
    default="json",
    show_default=True,
    help="What to write.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, not to the screen.",
)
@click.option("--force", is_flag=True, help="Replace the output file if it is there.")
def export(bundle: Path, as_format: str, output: Path | None, force: bool) -> None:
    """Write the parameters of BUNDLE as plain JSON: each array as nested lists, under its name.

    For models that were saved from named arrays. Numbers are written with the fewest digits that read back as
    the same float64; NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity".
    """
    del as_format
    from afterfit.bundle import read_bundle
    from afterfit.errors import ArgumentError

    document = _document(read_bundle(bundle), bundle)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    if output.exists() and not force:
        raise ArgumentError(f"{output} exists already; name another file, or give --force")
    output.write_text(text, encoding="utf-8")


def _document(bundle: Bundle, path: Path) -> dict[str, Any]:
    from afterfit.errors import ArgumentError, BundleFormatError

    entry = bundle.entries.get(f"native/{_PARAMETERS}")
    if entry is None:
        raise ArgumentError(
            f"{path} holds no parameters as arrays; those of an afterfit.ArrayModel can be exported"
        )
    try:
        held = json.loads(entry)
    except ValueError as error:
        raise BundleFormatError(f"native/{_PARAMETERS} of {path} is not JSON: {error}") from error
    if not isinstance(held, dict) or not isinstance(held.get("parameters"), dict):
        raise BundleFormatError(f"native/{_PARAMETERS} of {path} holds no parameters")
    return {
        "name": bundle.manifest.name,
        "version": bundle.version,
        "architecture": held.get("architecture"),
        "parameters": held["parameters"],
    }
