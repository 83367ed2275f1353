"""Cross-origin requests (CORS): lets web pages of named origins call the server from a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Message, Receive, Send], Awaitable[None]]

_ALLOWED = (
    b"accept, authorization, content-encoding, content-type, inference-header-content-length, traceparent, x-api-key, "
    b"x-request-id, x-request-timeout"
)
_EXPOSED = b"afterfit-warnings, inference-header-content-length, retry-after, www-authenticate, x-request-id"
_SECONDS = b"600"


class CrossOrigin:
    """An ASGI application around another, which tells browsers which pages may read its answers.

    A preflight, which browsers send without a key, is answered here; it says nothing of the server. No origin may
    send cookies or a browser's own credentials, for the server knows none: a page sends a key, or nothing.
    """

    def __init__(self, application: Application, origins: Iterable[str]) -> None:
        self._application = application
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)
        self._is_any = b"*" in self._origins

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a preflight, or have the application answer and add what the browser asks for."""
        origin = None
        if scope["type"] == "http":
            origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin is None:
            await self._application(scope, receive, send)
            return
        added = [(b"vary", b"origin")]
        if self._is_any or origin in self._origins:
            added += [
                (b"access-control-allow-origin", b"*" if self._is_any else origin),
                (b"access-control-expose-headers", _EXPOSED),
            ]
        if scope["method"] == "OPTIONS" and any(
            name == b"access-control-request-method" for name, _ in scope["headers"]
        ):
            if len(added) > 1:
                added += [
                    (b"access-control-allow-methods", b"GET, HEAD, POST"),
                    (b"access-control-allow-headers", _ALLOWED),
                    (b"access-control-max-age", _SECONDS),
                ]
            await send({"type": "http.response.start", "status": 204, "headers": added})
            await send({"type": "http.response.body", "body": b""})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._application(scope, receive, answer)
