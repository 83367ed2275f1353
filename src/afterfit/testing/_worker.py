"""The process behind `FreshProcess`: loads bundles and answers, with the frameworks made impossible to import."""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec

from afterfit.runtime import decoded_texts, load
from afterfit.testing._frames import arrays_of, frames_of, receive, send


def main() -> None:
    """Answer requests on standard input until it ends."""
    # What a library prints must not come between the messages.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            request = msgspec.msgpack.decode(receive(sys.stdin.buffer))
        except EOFError:
            return
        send(replies, msgspec.msgpack.encode(_reply(request)))


def _reply(request: dict[str, Any]) -> dict[str, Any]:
    present = [name for name in request["without"] if sys.modules.get(name) is not None]
    if present:
        return {"error": f"answering imports {', '.join(present)}"}
    # None in the place of a module forbids its import.
    sys.modules.update(dict.fromkeys(request["without"]))
    try:
        return {"answers": _answers(request)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the check reports it
        return {"error": f"{type(error).__name__}: {error}"}


def _answers(request: dict[str, Any]) -> dict[str, Any]:
    model = load(request["path"], threads=1)
    report = model.verify()
    if not report.ok:
        raise AssertionError(report.failures[0])
    got = model.run(arrays_of(request["packed"]), request["outputs"])
    for output in model.schema.outputs:
        if output.name == "transformed" and output.type == "string" and output.name in got:
            got[output.name] = decoded_texts(got[output.name])
    return frames_of(got)


if __name__ == "__main__":
    main()
