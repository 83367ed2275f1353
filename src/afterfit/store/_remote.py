"""Pulling a bundle from a server: nothing when it is current, the rest of it when a download broke off.

The ETag of a bundle is the SHA-256 of its file, so the file itself says whether it is current, and a partial one by
its name what it is a part of.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, NoReturn
from urllib.parse import urlsplit

import msgspec

from afterfit.bundle import read_bundle, sync_folder
from afterfit.errors import ArgumentError, SignatureError, StoreError, UnknownReferenceError
from afterfit.store._blobs import CHUNK, digest_of
from afterfit.store._reference import parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from afterfit.signing import Trust
    from afterfit.store._reference import Reference

    _Reply: TypeAlias = http.client.HTTPResponse | urllib.error.HTTPError

SECONDS = 60
"""How long a server may be silent."""

TRIES = 5
"""How often a download that broke off is taken up again, as long as each try brings something."""

MOST_SIGNATURES = 16 << 20
"""Most bytes of an answer that lists signatures."""

_ETAG = re.compile(r'"sha256-([0-9a-f]{64})"')
_PATH = "/store/"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull found: `version` such as `flights@3` and the bundle's `digest` as the server states them, `blob` the
    SHA-256 of the file, `fetched` the bytes that came over the wire, `signed_by` who signed, where trust was given.
    """

    version: str
    digest: str
    blob: str
    fetched: int
    signed_by: str | None
    signatures: tuple[bytes, ...]


class _Listing(msgspec.Struct):
    sha256: str
    signatures: list[msgspec.Raw]


def reference_of(url: str) -> Reference:
    """The reference in `http://HOST/store/REF`. Raises `ArgumentError` where there is none."""
    parts = urlsplit(url)
    _, found, text = parts.path.partition(_PATH)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or not found
        or parts.query
        or parts.fragment
    ):
        raise ArgumentError(
            f"{url[:200]!a} is no bundle on a server; write http://HOST:PORT/store/NAME@ALIAS"
        )
    return parse_reference(text)


class Remote:
    """A bundle on a server that serves it from its store. `api_key` is sent as a bearer token, if there is one.

    `move(fraction, note)` is told how far a download is.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        move: Callable[[float | None, str], None] = lambda _fraction, _note: None,
    ) -> None:
        self.reference = reference_of(url)
        self._url = url
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "afterfit"}
        if api_key:
            if not api_key.isascii() or not api_key.isprintable():
                raise ArgumentError("the API key has characters that no header may have")
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._move = move
        self._opener = urllib.request.build_opener(_Stay)

    def pull(
        self,
        target: Path,
        trust: Trust | None = None,
        *,
        before: Callable[[Pulled], None] = lambda _pulled: None,
    ) -> Pulled:
        """Bring the file at `target` up to what the server has, by a rename once all of it was checked.

        `before` is called between the checks and the rename, such as to put signatures beside it: whoever watches the
        file then finds them there.

        Checked are the SHA-256, every rule of the format, and with `trust` that somebody trusted signed it, which is
        asked of a file that is current too. Raises `StoreError` where the server cannot give it (what was downloaded
        is kept for the next try), `SignatureError` and `BundleError`; the file at `target` is then as it was.
        """
        have = digest_of(target) if target.is_file() else None
        for _ in range(TRIES):
            pulled, part = self._fetch(target, have)
            listing = self._list_signatures()
            if listing.sha256 == pulled.blob:
                break
            # The alias moved between the two answers.
        else:
            raise StoreError(f"{self._url} changes faster than it can be pulled; try again")
        signatures = tuple(bytes(one) for one in listing.signatures)
        try:
            who = None if trust is None else trust.verify_any(signatures, pulled.blob, pulled.version)
            if part is not None:
                self._audit(part, pulled)
            pulled = replace(pulled, signed_by=who, signatures=signatures)
            before(pulled)
            if part is not None:
                part.replace(target.resolve())
        finally:
            if part is not None:
                part.unlink(missing_ok=True)
        sync_folder(target.resolve().parent)
        return pulled

    def _audit(self, part: Path, pulled: Pulled) -> None:
        found = read_bundle(part).digest
        if f"sha256:{found}" != pulled.digest:
            raise StoreError(f"{self._url} says it is {pulled.digest}, and it is sha256:{found}")

    def _fetch(self, target: Path, have: str | None) -> tuple[Pulled, Path | None]:
        """The file with all bytes, beside `target`; None where that is current."""
        fetched = 0
        for _ in range(TRIES):
            part = _find_part(target)
            with self._ask(self._url, self._conditions(have, part)) as reply:
                blob, pulled = _read_head(self._url, reply)
                if reply.status == 304:
                    return pulled, None
                new = target.resolve().with_name(f".{target.resolve().name}.{blob}.part")
                if part is not None and part != new:
                    part.unlink(missing_ok=True)
                if reply.status == 416:
                    new.unlink(missing_ok=True)
                    continue
                before = fetched
                fetched += self._save(reply, new)
            size = _size_of(reply)
            if new.stat().st_size == size:
                if digest_of(new) != blob:
                    new.unlink()
                    raise StoreError(
                        f"what came from {self._url} is damaged: its SHA-256 is another; pull it again"
                    )
                return Pulled(pulled.version, pulled.digest, blob, fetched, None, ()), new
            if fetched == before:
                break
        raise StoreError(
            f"the download from {self._url} broke off; pull it again, it goes on where it broke off"
        )

    def _conditions(self, have: str | None, part: Path | None) -> dict[str, str]:
        headers = {} if have is None else {"If-None-Match": f'"sha256-{have}"'}
        if part is not None and part.stat().st_size:
            blob = part.name.rpartition(".part")[0][-64:]
            headers |= {"Range": f"bytes={part.stat().st_size}-", "If-Range": f'"sha256-{blob}"'}
        return headers

    def _save(self, reply: _Reply, part: Path) -> int:
        """Append what comes, or begin anew where all of it comes; how many bytes came."""
        size, came = _size_of(reply), 0
        with _open_alone(part) as file:
            start = _start_of(reply)
            if file.seek(0, os.SEEK_END) < start:
                raise StoreError(f"{self._url} sends another part of the file than was asked for")
            file.seek(start)
            file.truncate()
            while start + came < size:
                try:
                    piece = reply.read(min(CHUNK, size - start - came))
                except (OSError, http.client.HTTPException):
                    break
                if not piece:
                    break
                file.write(piece)
                came += len(piece)
                self._move((start + came) / size, f"{(start + came) / 1e6:,.1f} of {size / 1e6:,.1f} MB")
            file.flush()
            os.fsync(file.fileno())
        return came

    def _list_signatures(self) -> _Listing:
        with self._ask(f"{self._url}/signatures", {}) as reply:
            content = reply.read(MOST_SIGNATURES + 1)
        if len(content) > MOST_SIGNATURES:
            raise SignatureError(f"{self._url} lists more signatures than are read")
        try:
            return msgspec.json.decode(content, type=_Listing)
        except msgspec.DecodeError:
            raise StoreError(f"{self._url}/signatures is no list of signatures") from None

    @contextmanager
    def _ask(self, url: str, headers: dict[str, str]) -> Iterator[_Reply]:
        """An answer of status 200, 206, 304 or 416; any other is an error in the server's own words."""
        request = urllib.request.Request(url, headers={**self._headers, **headers})  # noqa: S310 - checked
        reply: _Reply
        try:
            reply = self._opener.open(request, timeout=SECONDS)
        except urllib.error.HTTPError as error:
            if error.code not in {304, 416}:
                self._refuse(error)
            reply = error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise StoreError(f"{self._url} does not answer: {reason}") from None
        with reply:
            yield reply

    def _refuse(self, error: urllib.error.HTTPError) -> NoReturn:
        with error:
            try:
                detail = str(json.loads(error.read(65536))["detail"])[:300]
            except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
                detail = str(error.reason)[:300]
        if error.code == 404:
            raise UnknownReferenceError(f"{self._url}: {detail}")
        if error.code in {401, 403}:
            detail = f"{detail} --api-key (AFTERFIT_API_KEY) is the key that is sent"
        raise StoreError(f"{self._url} answers {error.code}: {detail}")


class _Stay(urllib.request.HTTPRedirectHandler):
    """No redirect is followed: the key would go along to wherever it leads."""

    def redirect_request(self, *arguments: object) -> None:
        """Follow none."""
        del arguments


def _read_head(url: str, reply: _Reply) -> tuple[str, Pulled]:
    found = _ETAG.fullmatch(reply.headers.get("etag", ""))
    if found is None and reply.status == 416:
        return "", Pulled("", "", "", 0, None, ())
    version, digest = (reply.headers.get(f"afterfit-{name}", "")[:300] for name in ("version", "digest"))
    if found is None or not version or not digest:
        raise StoreError(f"{url} is no bundle of a store: its answer lacks the headers of one")
    return found[1], Pulled(version, digest, found[1], 0, None, ())


def _size_of(reply: _Reply) -> int:
    """The bytes of the whole file."""
    found = re.fullmatch(r"bytes \d{1,18}-\d{1,18}/(\d{1,18})", reply.headers.get("content-range", ""))
    stated = (
        found[1] if found is not None and reply.status == 206 else reply.headers.get("content-length", "")
    )
    if not re.fullmatch(r"\d{1,18}", stated):
        raise StoreError("the server does not say how many bytes the bundle has")
    return int(stated)


def _start_of(reply: _Reply) -> int:
    if reply.status != 206:
        return 0
    found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/\d{1,18}", reply.headers.get("content-range", ""))
    if found is None:
        raise StoreError("the server does not say which part of the bundle it sends")
    return int(found[1])


def _find_part(target: Path) -> Path | None:
    """What an earlier download left."""
    whole = target.resolve()
    pattern = re.compile(re.escape(f".{whole.name}.") + r"[0-9a-f]{64}\.part")
    found = [path for path in whole.parent.glob(".*.part") if pattern.fullmatch(path.name)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


@contextmanager
def _open_alone(part: Path) -> Iterator[BinaryIO]:
    """The partial file, for one process at a time."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(descriptor, "r+b") as file:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StoreError(f"another process is pulling to {part} now; wait for it") from None
        yield file
