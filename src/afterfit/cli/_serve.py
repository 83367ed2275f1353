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
  afterfit keys create mobile && afterfit serve flights.afit --host 0.0.0.0 --keys keys.json
  afterfit serve flights@production --trust public.pem
  curl http://127.0.0.1:8000/predict -H 'Content-Type: application/json' \\
    -d '{"rows": [{"carrier": "UA", "distance": 1400}]}'
"""
)
@click.argument("bundles", nargs=-1, type=BundleSource(), metavar="[BUNDLE]...")
@click.option("--host", show_default="127.0.0.1", help="Address to listen on.")
@click.option("--port", show_default="8000", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Processes, at most one for each core.",
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
    "--max-text",
    default=1_000_000,
    show_default=True,
    type=click.IntRange(1),
    metavar="CHARACTERS",
    help="Longest text of one value.",
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
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="AFTERFIT_KEYS",
    show_envvar=True,
    metavar="FILE",
    help="Ask for keys: those of this file, made by 'afterfit keys create'. It is read again when it changes.",
)
@click.option(
    "--insecure",
    is_flag=True,
    envvar="AFTERFIT_INSECURE",
    show_envvar=True,
    help="Answer predictions without a key, on any address: something in front checks who calls.",
)
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Certificate for HTTPS, in PEM, with its chain.",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Private key of the certificate, in PEM.",
)
@click.option(
    "--cors-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this origin call from a browser, such as https://example.org; may be given several times.",
)
@click.option(
    "--client-timeout",
    type=click.FloatRange(0, 86_400, min_open=True),
    default=65.0,
    show_default="65",
    metavar="SECONDS",
    help="Close connections that take longer for a request, idle longer, or read no answer for longer.",
)
@click.option(
    "--access-log",
    metavar="FILE",
    help="Add a line of JSON for each request to FILE, or to standard error for -.",
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
    max_text: int,
    on_unusual: Literal["warn", "error", "ignore"],
    redact: bool,
    latency_target: float | None,
    keys: Path | None,
    insecure: bool,
    tls_cert: str | None,
    tls_key: str | None,
    origins: tuple[str, ...],
    client_timeout: float,
    access_log: str | None,
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
    that AFTERFIT_MODEL_DIR names), on 0.0.0.0 and port 8080 (or AIP_HTTP_PORT). There --insecure is taken as said where
    no --keys are given: these platforms let nobody else reach a container.

    Without --keys only this machine may call: another --host is refused unless --insecure is said.
    """
    from afterfit.serving import Container, Limits, Policy, Protection, Telemetry, find_container
    from afterfit.serving import serve as run
    from afterfit.signing import read_trust

    asked = Container(bundles, "127.0.0.1", 8000) if bundles else find_container(os.environ)
    for note in asked.notes:
        click.echo(note, err=True)
    if asked.insecure and keys is None:
        click.echo(
            "No key is asked for, since the platform that starts a container checks who calls; AFTERFIT_KEYS names a "
            "file of keys.",
            err=True,
        )

    run(
        asked.paths,
        host=asked.host if host is None else host,
        port=asked.port if port is None else port,
        vertex=asked.vertex,
        workers=workers,
        limits=Limits(max_body=max_body, max_rows=max_rows, max_text=max_text, client_seconds=client_timeout),
        policy=Policy(unusual=on_unusual, redact=redact, latency_target=latency_target),
        store=url,
        protection=Protection(
            keys=None if keys is None else str(keys.absolute()),
            insecure=insecure or (asked.insecure and keys is None),
            certificate=tls_cert,
            private_key=tls_key,
            origins=origins,
        ),
        telemetry=Telemetry(access_log),
        trust=read_trust(trusted) if trusted else None,
        on_ready=lambda url: click.echo(
            f"Serving {len(asked.paths)} model{'s'[: len(asked.paths) > 1]} at {url} (Ctrl-C stops it)"
        ),
    )
