"""Sending a part of a file, a piece at a time, so that no bundle is held in memory for a download."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from afterfit.serving._body import CONTENT_LENGTH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from afterfit.serving._exchange import FileResponse

PIECE = 256 * 1024


async def send_file(
    answer: FileResponse, method: str, send: Callable[[MutableMapping[str, Any]], Awaitable[None]]
) -> None:
    """Send the head and the part of the file; the head alone for HEAD. Closes the file."""
    with answer.file as file:
        head = [*answer.headers, (CONTENT_LENGTH, b"%d" % answer.size)]
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        left = 0 if method == "HEAD" else answer.size
        if left:
            await asyncio.to_thread(file.seek, answer.start)
        while left:
            piece = await asyncio.to_thread(file.read, min(PIECE, left))
            if not piece:
                raise OSError(f"{file.name} ends before its size")
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
