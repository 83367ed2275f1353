"""`afterfit keys`: the keys that a server asks for."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Literal

import click

from afterfit.cli._sources import json_option
from afterfit.cli._terminal import add_row, console, echo_json, printable, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterfit.serving._security import Key

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FOREVER = 100 * 366

_file_option: Callable[[Any], Any] = click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False),
    default="keys.json",
    envvar="AFTERFIT_KEYS",
    show_default=True,
    show_envvar=True,
    help="The file of keys.",
)


def _read_end(ctx: click.Context, param: click.Parameter, value: str | None) -> dt.datetime | None:
    """A day, a moment, or how long from now, as a moment in UTC."""
    del ctx, param
    if value is None:
        return None
    length = re.fullmatch(r"(\d{1,6})([mhdw])", value)
    if length is not None:
        span = dt.timedelta(**{_UNITS[length[2]]: int(length[1])})
        if span.days > _FOREVER:
            raise click.BadParameter(f"{value!r} is longer than a hundred years; leave it out")
        return dt.datetime.now(dt.UTC).replace(microsecond=0) + span
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{printable(value)!r} is no moment; say 90d, 12h, 2027-01-31 or 2027-01-31T12:00"
        ) from None
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment


@click.group(
    epilog="""\b
Examples:
  afterfit keys create mobile --expires 90d --rate 50
  afterfit keys create prometheus --scope admin
  afterfit keys list
  afterfit keys revoke mobile
  afterfit serve flights.afit --host 0.0.0.0 --keys keys.json"""
)
def keys() -> None:
    """Make, list and revoke the keys that a server asks for.

    The file holds a digest of each key, never a key. A server reads it again within a second of a change, so keys
    are rotated without a restart: make a new one, hand it out, revoke the old one.
    """


@keys.command(
    epilog="""\b
Examples:
  afterfit keys create mobile
  afterfit keys create partner --expires 90d --rate 20 --burst 100 --rows-per-day 1000000
  KEY=$(afterfit keys create ci --json | jq -r .key)"""
)
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["predict", "pull", "admin"]),
    default="predict",
    show_default=True,
    help="predict: ask models. pull: download bundles (/store). admin: everything, metrics and loading included.",
)
@click.option(
    "--expires",
    callback=_read_end,
    metavar="WHEN",
    help="When it ends: 90d, 12h, 2027-01-31. Never otherwise.",
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="Requests a second.")
@click.option(
    "--burst",
    type=click.IntRange(1),
    metavar="N",
    help="Requests at once after a pause; by default one second's.",
)
@click.option("--concurrent", type=click.IntRange(1), metavar="N", help="Requests under way at one time.")
@click.option("--requests-per-day", type=click.IntRange(1), metavar="N", help="Requests a day, in UTC.")
@click.option("--rows-per-day", type=click.IntRange(1), metavar="N", help="Rows a day, in UTC.")
@_file_option
@json_option
def create(
    name: str,
    *,
    scope: Literal["predict", "pull", "admin"],
    expires: dt.datetime | None,
    rate: float | None,
    burst: int | None,
    concurrent: int | None,
    requests_per_day: int | None,
    rows_per_day: int | None,
    path: str,
    as_json: bool,
) -> None:
    """Make a key called NAME, add it to the file, and print it: this once, for it is kept nowhere."""
    from afterfit.serving._security import KeyLimits, create_key

    if burst is not None and rate is None:
        raise click.UsageError("--burst needs --rate")
    limits = KeyLimits(
        requests_per_second=rate,
        burst=burst,
        concurrent=concurrent,
        requests_per_day=requests_per_day,
        rows_per_day=rows_per_day,
    )
    secret, key = create_key(path, name, scope, expires=expires, limits=limits)
    if as_json:
        echo_json({"key": secret, **_describe(key)})
        return
    click.echo(secret)
    until = "" if key.expires is None else f", until {key.expires:%Y-%m-%d %H:%M} UTC"
    click.echo(
        f"{key.name} ({key.scope}{until}) is in {printable(path)}. The key is shown this once; send it as "
        "'Authorization: Bearer KEY'.",
        err=True,
    )


@keys.command(name="list")
@_file_option
@json_option
def list_keys(*, path: str, as_json: bool) -> None:
    """List the keys of the file: their names, scopes, limits and ends."""
    from afterfit.serving._security import read_keys

    found = read_keys(path)
    if as_json:
        echo_json({"keys": [_describe(key) for key in found]})
        return
    now = dt.datetime.now(dt.UTC)
    drawn = table(f"Keys of {printable(path)}", "name", "scope", "created", "expires", "limits")
    for key in found:
        ends = "never" if key.expires is None else f"{key.expires:%Y-%m-%d %H:%M}"
        limits = ", ".join(f"{value:g} {name}" for name, value in _limits(key).items())
        add_row(
            drawn,
            key.name,
            key.scope,
            f"{key.created:%Y-%m-%d}",
            f"{ends} (expired)" if key.is_expired(now) else ends,
            limits.replace("_", " ") or "none",
        )
    console().print(drawn)


@keys.command()
@click.argument("name")
@_file_option
@json_option
def revoke(name: str, *, path: str, as_json: bool) -> None:
    """Take the key called NAME out of the file. Servers refuse it within a second."""
    from afterfit.serving._security import revoke_key

    key = revoke_key(path, name)
    if as_json:
        echo_json({"revoked": _describe(key)})
        return
    click.echo(f"{key.name} is revoked; servers that read {printable(path)} refuse it within a second")


def _limits(key: Key) -> dict[str, float]:
    import msgspec

    limits: dict[str, float] = msgspec.to_builtins(key.limits)
    return limits


def _describe(key: Key) -> dict[str, Any]:
    return {
        "name": key.name,
        "scope": key.scope,
        "created": key.created.isoformat(),
        "expires": None if key.expires is None else key.expires.isoformat(),
        "limits": _limits(key),
    }
