"""For devices and other servers that pull: the bundles that are served from the store, as files."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import msgspec

from afterfit.errors import StoreError
from afterfit.serving._exchange import FileResponse, Problem, Response, Route, problem_response
from afterfit.store import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterfit.serving._exchange import Answer, Handler
    from afterfit.serving._sources import Loaded, Sources
    from afterfit.store import Version

PREFIX = "/store/"
_RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})")


class StoreContract:
    """`GET /store/{ref}`: the bundle's file, with an ETag and ranges; `/store/{ref}/signatures`: its signatures.

    The references are those that the server was told to serve, and the number and digest of what they mean now.
    No other is looked up in the store, whatever a client asks for; and the file is the one that answers here.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def routes(self) -> Sequence[Route]:
        """One route a reference; made anew when an alias has moved."""
        return [
            route
            for loaded in self._sources.loaded
            if (version := loaded.version) is not None
            for reference in (
                *loaded.asked,
                Reference(version.name, number=version.number),
                Reference(version.name, digest=version.digest),
            )
            for route in (
                Route(f"{PREFIX}{reference}", "GET", _send(loaded, version), access="pull"),
                Route(f"{PREFIX}{reference}/signatures", "GET", _list(self._sources, version), access="pull"),
            )
        ]

    def missing(self, path: str) -> Problem | None:
        """A reference that is not served here."""
        if not path.startswith(PREFIX):
            return None
        served = ", ".join(str(one) for loaded in self._sources.loaded for one in loaded.asked)
        asked = path.removeprefix(PREFIX)[:100]
        return Problem(404, "unknown-reference", f"This server does not offer {asked!r}. It offers {served}.")

    def refuse(self, problem: Problem) -> Response:
        """RFC 9457 problem details."""
        return problem_response(problem)


def _send(loaded: Loaded, version: Version) -> Handler:
    etag = f'"sha256-{version.blob}"'.encode()
    about = [
        (b"etag", etag),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", b"no-cache"),
        (b"afterfit-version", str(version).encode()),
        (b"afterfit-digest", f"sha256:{version.digest}".encode()),
    ]
    described = [
        *about,
        (b"content-type", b"application/zip"),
        (b"content-disposition", f'attachment; filename="{version.name}.afit"'.encode()),
    ]

    async def send(body: bytes, headers: Mapping[bytes, bytes]) -> Answer:  # noqa: ARG001 - a handler takes them
        if _names(headers.get(b"if-none-match", b""), etag):
            return Response(b"", 304, about)
        start, stop, status = 0, version.size, 200
        asked = headers.get(b"range")
        if asked is not None and headers.get(b"if-range", etag) == etag:
            found = _parse_range(asked, version.size)
            if found is not None:
                start, stop = found
                status = 206
                if start >= stop:
                    problem = Problem(
                        416,
                        "range-not-satisfiable",
                        f"The bundle has {version.size} bytes.",
                        headers=[(b"content-range", b"bytes */%d" % version.size)],
                    )
                    return problem_response(problem)
        file = await asyncio.to_thread(loaded.path.open, "rb")
        part = (
            [] if status == 200 else [(b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, version.size))]
        )
        return FileResponse(file, start, stop - start, status, [*described, *part])

    return send


def _list(sources: Sources, version: Version) -> Handler:
    """The signatures that the store has now: one may be added while the version is served."""

    async def list_signatures(body: bytes, headers: Mapping[bytes, bytes]) -> Answer:  # noqa: ARG001 - a handler takes them
        try:
            found = await asyncio.to_thread(sources.signatures, version)
        except StoreError:
            return problem_response(
                Problem(503, "store-away", "The store cannot be asked now. Try again later.")
            )
        document = {
            "version": str(version),
            "sha256": version.blob,
            "signatures": [msgspec.Raw(one) for one in found],
        }
        return msgspec.json.encode(document)

    return list_signatures


def _names(condition: bytes, etag: bytes) -> bool:
    """Whether `If-None-Match` names the tag; weak comparison, as RFC 9110 asks."""
    return any(tag.strip().removeprefix(b"W/") in {etag, b"*"} for tag in condition.split(b","))


def _parse_range(text: bytes, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; empty where none of them exists; None for what is to be ignored.

    Several ranges at once, and units other than bytes, are ignored, which RFC 9110 allows.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None
    return start, min(size, int(found[2]) + 1) if found[2] else size
