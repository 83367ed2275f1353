"""`afterfit serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from afterfit.cli._sources import BundleSource, store_option

if TYPE_CHECKING:
    from afterfit.store import Reference


@click.command(
    epilog="""\b
Examples:
  afterfit serve flights.afit
  afterfit serve flights.afit prices.afit --port 9000 --workers 2
  afterfit serve flights@production
  afterfit serve flights@production --trust public.pem
  curl http://127.0.0.1:8000/predict -H 'Content-Type: application/json' \\
    -d '{"rows": [{"carrier": "UA", "distance": 1400}]}'
"""
)
@click.argument("bundles", nargs=-1, type=BundleSource(), metavar="[BUNDLE]...")
@click.option("--host", show_default="127.0.0.1", help="Address to listen on.")
@click.option("--port", show_default="8000", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes; each uses one core."
)
@click.option(
    "--max-body",
    default=16 * 1024 * 1024,
    show_default="16 MiB",
    type=click.IntRange(1),
    metavar="BYTES",
    help="Largest body of a request.",
)
@click.option(
    "--max-rows",
    default=10_000,
    show_default=True,
    type=click.IntRange(1),
    metavar="ROWS",
    help="Most rows of a request.",
)
@click.option(
    "--on-unusual",
    type=click.Choice(["warn", "error", "ignore"]),
    default="warn",
    show_default=True,
    help="What to do about numbers out of the range of the training rows, and unseen categories.",
)
@click.option("--redact", is_flag=True, help="Never repeat a value that was sent, in any answer.")
@click.option(
    "--latency-target",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Refuse at once who would wait longer.",
)
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    metavar="PEM",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="Serve only what this public key, or root certificate, signed; may be repeated.",
)
@store_option
def serve(
    bundles: tuple[Path | Reference, ...],
    *,
    host: str | None,
    port: int | None,
    workers: int,
    max_body: int,
    max_rows: int,
    on_unusual: Literal["warn", "error", "ignore"],
    redact: bool,
    latency_target: float | None,
    trusted: tuple[Path, ...],
    url: str | None,
) -> None:
    """Serve models over HTTP, until Ctrl-C.

    Every BUNDLE is audited before anything starts. POST rows as {"rows": [{"column": value, ...}]} to
    /models/NAME/predict, or to /predict where there is one model. Open the address in a browser to try it.

    A BUNDLE may be a name in the store, such as flights@production: when the alias moves, every worker is on
    the new version within a second, and no request is dropped. GET /store/flights@production is its file.

    With --trust, a bundle that nobody trusted signed (`afterfit sign`) is never served: not at the start, and where an
    alias moves to one, or a file is replaced by one, what was served goes on and the log says so.

    Without a BUNDLE, as SageMaker and Vertex AI start a container, those in /opt/ml/model are served (or in the folder
    that AFTERFIT_MODEL_DIR names), on 0.0.0.0 and port 8080 (or AIP_HTTP_PORT).
    """
    from afterfit.serving import Container, Limits, Policy, find_container
    from afterfit.serving import serve as run
    from afterfit.signing import read_trust

    asked = Container(bundles, "127.0.0.1", 8000) if bundles else find_container(os.environ)
    for note in asked.notes:
        click.echo(note, err=True)

    run(
        asked.paths,
        host=asked.host if host is None else host,
        port=asked.port if port is None else port,
        vertex=asked.vertex,
        workers=workers,
        limits=Limits(max_body=max_body, max_rows=max_rows),
        policy=Policy(unusual=on_unusual, redact=redact, latency_target=latency_target),
        store=url,
        trust=read_trust(trusted) if trusted else None,
        on_ready=lambda url: click.echo(
            f"Serving {len(asked.paths)} model{'s'[: len(asked.paths) > 1]} at {url} (Ctrl-C stops it)"
        ),
    )
