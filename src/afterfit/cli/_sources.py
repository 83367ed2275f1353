"""Arguments and options that commands share: bundles by path or by name, and the store they come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterfit.store import Store


class BundlePath(click.Path):
    """A bundle: the path of a file, or a name in the store (`flights@production`), which becomes its file."""

    name = "bundle"

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, readable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Find the file."""
        if not isinstance(value, str) or not is_stored(value):
            return super().convert(value, param, ctx)
        with open_store() as store:
            return store.fetch(store.resolve(value))


class BundleSource(click.Path):
    """A bundle to follow: the path of a file, or a reference to what the store has under a name."""

    name = "bundle"

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, readable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Tell a file from a reference."""
        if not isinstance(value, str) or not is_stored(value):
            return super().convert(value, param, ctx)
        from afterfit.store import parse_reference

        return parse_reference(value)


def is_stored(text: str) -> bool:
    """Whether `text` names a version in the store, rather than a file.

    What exists as a file, has a `/` in it or ends in `.afit` is a file; so is a bare word where there is no store.
    """
    if os.path.lexists(text) or "/" in text or os.sep in text or text.endswith(".afit"):
        return False
    from afterfit.errors import StoreError
    from afterfit.store import find_place, is_reference

    if not is_reference(text):
        return False
    if "@" in text:
        return True
    try:
        find_place()
    except StoreError:
        return False
    return True


def open_store(url: str | None = None, *, create: bool = False) -> Store:
    """The store of a command."""
    from afterfit.store import Store

    return Store(url, create=create)


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--store`."""
    return click.option(
        "--store",
        "url",
        metavar="URL",
        help="Folder of the store, or postgresql://...?blobs=s3://BUCKET.  [default: AFTERFIT_STORE, or "
        ".afterfit in this folder or above it]",
    )(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def by_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--by`."""
    return click.option(
        "--by", metavar="WHO", help="Who is recorded.  [default: AFTERFIT_ACTOR, or user@machine]"
    )(command)


def password_of_key() -> str | None:
    """The password of an encrypted private key: AFTERFIT_KEY_PASSWORD, or what a person types."""
    import sys

    from afterfit.signing import PASSWORD_VARIABLE

    given = os.environ.get(PASSWORD_VARIABLE)
    if given is None and sys.stdin.isatty():
        given = str(click.prompt("Password of the key", hide_input=True, err=True))
    return given


def signature_beside(bundle: Path) -> Path:
    """Where the signature of a bundle's file is, by its name."""
    return bundle.with_name(f"{bundle.name}.sig")


def read_signature(path: Path) -> bytes:
    """A signature file, no more of it than is ever taken."""
    from afterfit.signing import LIMIT

    with path.open("rb") as file:
        return file.read(LIMIT + 1)


def split_alias(text: str) -> tuple[str, str]:
    """The name and the alias of `NAME@ALIAS`."""
    from afterfit.store import parse_reference

    reference = parse_reference(text)
    if reference.alias is None:
        raise click.UsageError(
            f"{text} names no alias; write {reference.name}@ALIAS, such as {reference.name}@production"
        )
    return reference.name, reference.alias
