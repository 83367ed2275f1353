"""How a version is named: `flights`, `flights@3`, `flights@production`, `flights@sha256:4f0c...`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from afterfit.errors import ArgumentError

_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_NAME = re.compile(_WORD)
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_SHAPE = re.compile(rf"({_WORD})(?:@(.+))?")
_DIGEST = re.compile(r"sha256:([0-9a-f]{8,64})")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

SUFFIX = ".afit"
"""What ends in this is a path, never a name."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A name and what of it is meant: a number, a digest (or its first digits), an alias, or the latest version.

    At most one of `number`, `digest` and `alias` is not None; where all are, the latest version is meant.
    """

    name: str
    number: int | None = None
    digest: str | None = None
    alias: str | None = None

    def __str__(self) -> str:
        if self.number is not None:
            return f"{self.name}@{self.number}"
        if self.digest is not None:
            return f"{self.name}@sha256:{self.digest}"
        return self.name if self.alias is None else f"{self.name}@{self.alias}"


def parse_reference(text: str) -> Reference:
    """The reference that `text` spells.

    Law: `str(parse_reference(text)) == text`. Raises `ArgumentError` where it spells none.
    """
    found = _SHAPE.fullmatch(text)
    if found is None or found[1].endswith(SUFFIX):
        raise ArgumentError(
            f"{text[:200]!a} names no model; write NAME, NAME@3, NAME@ALIAS or NAME@sha256:DIGEST"
        )
    name, which = found[1], found[2]
    if which is None:
        return Reference(name)
    if _NUMBER.fullmatch(which):
        return Reference(name, number=int(which))
    digest = _DIGEST.fullmatch(which)
    if digest is not None:
        return Reference(name, digest=digest[1])
    return Reference(name, alias=checked_alias(which))


def checked_name(name: str) -> str:
    """`name`, if a model may be called that. Raises `ArgumentError` otherwise."""
    if not _NAME.fullmatch(name) or name.endswith(SUFFIX):
        raise ArgumentError(
            f"a model in the store cannot be called {name[:200]!a}; use ASCII letters, digits, '.', '_' and '-', "
            f"beginning with a letter or a digit and not ending in {SUFFIX}"
        )
    return name


def checked_alias(alias: str) -> str:
    """`alias`, if an alias may be called that. Raises `ArgumentError` otherwise."""
    if not _ALIAS.fullmatch(alias):
        raise ArgumentError(
            f"{alias[:200]!a} is no alias; use ASCII letters, digits, '_' and '-', beginning with a letter"
        )
    return alias


def is_reference(text: str) -> bool:
    """Whether `text` spells a reference; what has a folder in it, or ends in `.afit`, does not."""
    try:
        parse_reference(text)
    except ArgumentError:
        return False
    return True
