"""What is remembered of one request while it is answered: who asked, as part of what, and what became of it."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from os import urandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_ID = b"x-request-id"
TRACEPARENT = b"traceparent"

MAX_ID = 128
"""Characters of a request id that are taken over from a client."""

_UNSAFE = re.compile(rb"[^A-Za-z0-9._:/+=@-]")
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True, slots=True)
class Parent:
    """The span of the caller, as W3C Trace Context says it in `traceparent`."""

    trace_id: str
    span_id: str
    sampled: bool


@dataclass(slots=True)
class Trace:
    """One request. `model` is `name@version`, `rows` those that were answered, times are in seconds.

    `decoding` is the time the body took, `model_time` from the queue to the end of the run, `writing` the answer.
    """

    request_id: str
    trace_id: str
    span_id: str
    parent: Parent | None
    model: str | None = None
    rows: int | None = None
    decoding: float | None = None
    model_time: float | None = None
    writing: float | None = None


current: ContextVar[Trace | None] = ContextVar("afterfit_trace", default=None)
"""The request that the running task answers, where requests are remembered at all."""


def find_parent(headers: Mapping[bytes, bytes]) -> Parent | None:
    """The span that a request says it is part of; None where it says none, or says it wrongly."""
    stated = headers.get(TRACEPARENT)
    found = None if stated is None else _PARENT.fullmatch(stated.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags = (part.decode() for part in found.groups())
    is_longer = len(found[0]) > len(b"00--") + 32 + 16 + 2 + 1
    if version == "ff" or (version == "00" and is_longer) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1))


def begin(headers: Mapping[bytes, bytes]) -> Trace:
    """Remember a request: in the trace of its parent, or in a new one, always with a span of its own."""
    parent = find_parent(headers)
    made = urandom(24).hex()
    span_id = made[:16]
    return Trace(
        _request_id(headers) or span_id, made[16:] if parent is None else parent.trace_id, span_id, parent
    )


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """The id that the client gave, without what could break a line or a header."""
    stated = headers.get(REQUEST_ID)
    return "" if stated is None else _UNSAFE.sub(b"", stated[: 4 * MAX_ID])[:MAX_ID].decode()
