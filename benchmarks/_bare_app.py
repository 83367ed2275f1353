"""The least a granian server can do for a prediction: read the body, answer a constant of the same size.

python _bare_app.py PORT asginl|rsgi
"""

from __future__ import annotations

import os
import sys
from typing import Any

HEADERS = [("content-type", "application/json")]
BODY = b"x" * int(os.environ.get("BARE_SIZE", "150"))
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))],
}
END = {"type": "http.response.body", "body": BODY}


class App:
    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        await send(START)
        await send(END)

    async def __rsgi__(self, scope: Any, exchange: Any) -> None:
        await exchange()
        exchange.response_bytes(200, HEADERS, BODY)


app = App()

if __name__ == "__main__":
    import importlib.util

    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.server import Server

    Server(
        "_bare_app:app",
        port=int(sys.argv[1]),
        interface=Interfaces(sys.argv[2]),
        http=HTTPModes.http1,
        websockets=False,
        loop=Loops.uvloop if importlib.util.find_spec("uvloop") else Loops.asyncio,
        backlog=2048,
        backpressure=1024,
        log_enabled=False,
    ).serve()
