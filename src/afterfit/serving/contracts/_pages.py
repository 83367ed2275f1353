"""The pages that people open, and the files these are made of.

They lie in `afterfit/web` and are data to Python. Everything but the two pages themselves is served below a path that
holds a digest of all of it, so that browsers keep it for good and never mix the files of two releases.
"""

from __future__ import annotations

import hashlib
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from afterfit.serving._exchange import NOSNIFF, FileResponse, Response, Route
from afterfit.serving.contracts._rows import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterfit.serving._exchange import Handler

WEB = Path(__file__).parents[2] / "web"

STATIC = "/static/"

ACCEPT = b"accept"

_MEDIA_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}

_FOREVER = (b"cache-control", b"public, max-age=31536000, immutable")

_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
_PAGE_POLICY = (*_POLICY, "img-src 'self'", "require-trusted-types-for 'script'")
"""The last one: no text becomes markup or a script, whatever the page's own code does."""
_DOCS_POLICY = (*_POLICY, "img-src 'self' data:")
"""Swagger UI has its pictures in its style sheet, and makes markup from text that it cleans itself."""


@cache
def page_routes() -> Sequence[Route]:
    """`/`, `/docs`, and the files below `/static/`, read once for the process."""
    files = {path.name: path for folder in ("static", "swagger-ui") for path in _files(WEB / folder)}
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    below = STATIC + digest.hexdigest()[:16]
    page = _page("index.html", below, _PAGE_POLICY)
    return [
        Route("/", "GET", _page_or_alive(page), access="public"),
        Route("/docs", "GET", partial(_respond, _page("docs.html", below, _DOCS_POLICY)), access="public"),
        *(
            Route(f"{below}/{name}", "GET", partial(_send, path), access="public")
            for name, path in files.items()
        ),
    ]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in _MEDIA_TYPES]


def _page(name: str, below: str, policy: Sequence[str]) -> Response:
    """A page whose links to files are relative, so that it can be served below any path."""
    html = (WEB / name).read_text(encoding="utf-8").replace("{static}", below.removeprefix("/"))
    return Response(
        html.encode(),
        headers=[
            (b"content-type", b"text/html; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"content-security-policy", "; ".join(policy).encode()),
            (b"referrer-policy", b"no-referrer"),
            NOSNIFF,
        ],
    )


def _page_or_alive(page: Response) -> Handler:
    """The page, and for clients that take anything the word by which KServe's know that a server lives."""
    alive = Response(encode({"status": "alive"}))

    async def respond(body: bytes, headers: Mapping[bytes, bytes]) -> Response:  # noqa: ARG001 - a handler takes them
        return alive if headers.get(ACCEPT) == b"*/*" else page

    return respond


async def _respond(response: Response, body: bytes, headers: Mapping[bytes, bytes]) -> Response:  # noqa: ARG001
    return response


async def _send(path: Path, body: bytes, headers: Mapping[bytes, bytes]) -> FileResponse:  # noqa: ARG001
    size = path.stat().st_size
    kind = (b"content-type", _MEDIA_TYPES[path.suffix])
    return FileResponse(path.open("rb"), 0, size, 200, [kind, _FOREVER, NOSNIFF])
