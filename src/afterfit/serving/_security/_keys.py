"""The file of keys: who may call, what for, until when, how much. It holds digests of keys and no key.

A key is 256 random bits, so there is nothing to guess: a slow, salted hash, which passwords need, would protect
nothing more and cost every request a tenth of a second. SHA-256 of the key is kept.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import secrets
import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

Scope = Literal["predict", "pull", "admin"]
"""What a key opens: models and what describes them; the bundles themselves, as files; everything."""

SCOPES: Final[tuple[Scope, ...]] = ("predict", "pull", "admin")

PREFIX: Final = "afit_"
"""What every key begins with, so that scanners for leaked secrets can know one."""

MAX_KEYS: Final = 1_000
"""Keys of one file; each is a label of the metrics."""

_Count = Annotated[int, Meta(ge=1, le=10**15)]
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]


class KeyLimits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What one key may ask of all workers together; None is no limit.

    `requests_per_second` with `burst`, the requests that may come at once after a pause (by default those of a
    second, at least one); `concurrent` requests under way; `requests_per_day` and `rows_per_day`, days of UTC.
    """

    requests_per_second: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    burst: _Count | None = None
    concurrent: _Count | None = None
    requests_per_day: _Count | None = None
    rows_per_day: _Count | None = None

    def __post_init__(self) -> None:
        if self.burst is not None and self.requests_per_second is None:
            raise ValueError("a burst needs requests_per_second")

    @property
    def is_any(self) -> bool:
        """Whether there is a limit."""
        return self != KeyLimits()


class Key(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One key of the file. `sha256`: the digest of the key, in hexadecimal digits."""

    name: _Name
    scope: Scope
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    created: Annotated[dt.datetime, Meta(tz=True)]
    expires: Annotated[dt.datetime, Meta(tz=True)] | None = None
    limits: KeyLimits = KeyLimits()

    def is_expired(self, now: dt.datetime) -> bool:
        """Whether the key is good no more."""
        return self.expires is not None and self.expires <= now


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    keys: list[Key]


_decode = msgspec.json.Decoder(_File).decode


def read_keys(path: str | os.PathLike[str]) -> list[Key]:
    """The keys of a file.

    Raises ArgumentError where there is no such file, it is no file of keys, one name or key is in it twice, or
    others than its owner and group may write to it.
    """
    try:
        with Path(path).open("rb") as file:
            # Who may write to the file makes keys.
            if sys.platform != "win32" and os.fstat(file.fileno()).st_mode & stat.S_IWOTH:
                raise ArgumentError(f"everybody may write to {path}, and so make keys; chmod o-w it")
            content = file.read()
    except OSError as error:
        raise ArgumentError(f"the keys in {path} cannot be read: {error.strerror}") from None
    try:
        keys = _decode(content).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArgumentError(f"{path} is no file of keys: {error}") from None
    if len(keys) > MAX_KEYS:
        raise ArgumentError(f"{path} has {len(keys):,} keys; at most {MAX_KEYS:,} are taken")
    for what, values in (("name", [key.name for key in keys]), ("key", [key.sha256 for key in keys])):
        twice = (
            sorted({value for value in values if values.count(value) > 1})
            if len(set(values)) < len(values)
            else []
        )
        if twice:
            raise ArgumentError(f"{path} has one {what} twice: {', '.join(twice[:5])}")
    return keys


def digest_of(secret: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(secret).digest()


def create_key(
    path: str | os.PathLike[str],
    name: str,
    scope: Scope,
    *,
    expires: dt.datetime | None = None,
    limits: KeyLimits | None = None,
) -> tuple[str, Key]:
    """Make a key and add it to the file, which is made where there is none. Returns the key itself, and its entry.

    Raises ArgumentError where the file has the name already, cannot be read or written, or a value is malformed.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    try:
        key = msgspec.convert(
            {
                "name": name,
                "scope": scope,
                "sha256": digest_of(secret.encode()).hex(),
                "created": now,
                "expires": expires,
                "limits": msgspec.to_builtins(limits or KeyLimits()),
            },
            Key,
        )
    except msgspec.ValidationError as error:
        detail = (
            "a name has letters, digits, '.', '_' and '-', at most 64"
            if "$.name" in str(error)
            else str(error)
        )
        raise ArgumentError(f"{name[:100]!r} cannot be made a key: {detail}") from None
    if key.is_expired(now):
        raise ArgumentError(f"{name} would be expired already")
    with _changing(Path(path)):
        keys = read_keys(path) if Path(path).exists() else []
        if any(other.name == name for other in keys):
            raise ArgumentError(f"{path} has a key {name!r} already; revoke it first, or choose another name")
        write_keys(Path(path), [*keys, key])
    return secret, key


def revoke_key(path: str | os.PathLike[str], name: str) -> Key:
    """Take a key out of the file; servers that read it refuse the key within a second. Returns its entry.

    Raises ArgumentError where there is no such key, or the file cannot be read or written.
    """
    with _changing(Path(path)):
        keys = read_keys(path)
        found = [key for key in keys if key.name == name]
        if not found:
            names = ", ".join(key.name for key in keys[:20]) or "none"
            raise ArgumentError(f"{path} has no key {name[:100]!r}; it has {names}")
        write_keys(Path(path), [key for key in keys if key.name != name])
    return found[0]


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Keeps other processes from changing the file meanwhile, whose change would be lost."""
    try:
        if sys.platform == "win32":
            yield
            return
        import fcntl

        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
    except OSError as error:
        raise ArgumentError(f"{path} cannot be written: {error.strerror}") from None


def write_keys(path: Path, keys: list[Key]) -> None:
    """Replace the file at once, so that nobody reads half of it; its rights stay, and are its owner's alone if new."""
    from afterfit.runtime._files import AtomicFile

    content = msgspec.json.format(msgspec.json.encode(_File(1, keys)), indent=2) + b"\n"
    rights = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    atomic = AtomicFile(path)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(atomic.file.fileno(), rights)
        atomic.file.write(content)
        atomic.commit()
    finally:
        atomic.discard()
