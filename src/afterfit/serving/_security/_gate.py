"""The one place where a request is let in: who calls, whether the route is theirs, and whether their limits hold."""

from __future__ import annotations

import asyncio
import datetime as dt
import hmac
import ipaddress
import logging
import math
import time
from typing import TYPE_CHECKING, Final

from afterfit.errors import ArgumentError, LimitExceededError
from afterfit.serving._callers import CALLER
from afterfit.serving._exchange import Problem, limited
from afterfit.serving._security._keys import digest_of, read_keys, write_keys
from afterfit.serving._security._ledger import Ledger
from afterfit.serving._security._steps import Steps
from afterfit.serving._swap import LOOK_SECONDS, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from afterfit.schema import Packed
    from afterfit.serving._board import Board, Counter
    from afterfit.serving._exchange import Access, Route, Scope
    from afterfit.serving._security._keys import Key
    from afterfit.serving._security._ledger import Account, Refusal
    from afterfit.serving._security._protection import Protection

_log = logging.getLogger("afterfit.serving")

AUTHORIZATION: Final = b"authorization"
API_KEY: Final = b"x-api-key"

OPENS: Final[Mapping[str, frozenset[Access]]] = {
    "predict": frozenset({"predict"}),
    "pull": frozenset({"pull"}),
    "admin": frozenset({"predict", "pull", "admin"}),
}
"""The access of routes that each scope of a key opens."""

_HOSTS_KEPT = 64

_CHALLENGE = [(b"www-authenticate", b"Bearer")]
_INVALID = [(b"www-authenticate", b'Bearer error="invalid_token"')]
_TOO_LITTLE = [(b"www-authenticate", b'Bearer error="insufficient_scope"')]

_HOW = "send the header Authorization: Bearer KEY, or X-API-Key: KEY"
_NO_KEY = Problem(401, "no-key", f"This needs a key: {_HOW}.", headers=_CHALLENGE)
_UNKNOWN_KEY = Problem(
    401, "unknown-key", "The key is none of this server's; it may have been revoked.", headers=_INVALID
)
_EXPIRED = Problem(401, "expired-key", "The key has expired; ask for a new one.", headers=_INVALID)
_TWO_KEYS = Problem(401, "two-keys", f"The request has two keys; {_HOW}, once.", headers=_INVALID)
_CLOSED = Problem(
    403,
    "no-keys-here",
    "This is for holders of a key, and the server was started without keys: start it with --keys.",
)
_FOREIGN_HOST = Problem(
    403,
    "foreign-host",
    "This server asks for no key, and so answers only to localhost or an IP address as Host: otherwise any web page "
    "could reach it through a name of its own. Start it with --keys, or with --insecure if a proxy is in front.",
)


class KeyCaller:
    """The holder of one key, as one worker knows it; is told of the rows that it sends."""

    def __init__(self, key: Key, account: Account | None, board: Board) -> None:
        self.key = key
        self.digest = bytes.fromhex(key.sha256)
        self.opens = OPENS[key.scope]
        self.expires = math.inf if key.expires is None else key.expires.timestamp()
        self.account = account
        self.is_counted = account is not None and key.limits.concurrent is not None
        self._board = board
        self._requests: Counter | None = None
        self._rows: Counter | None = None
        self._steps = Steps()

    def enter(self) -> Problem | None:
        """Count a request; why it is held back, if it is."""
        refusal = None if self.account is None else self.account.enter()
        if self._requests is None:
            # Made only now, so that keys that nobody uses are no series.
            self._requests, self._rows = self._counter("requests"), self._counter("rows")
        self._requests.add()
        return None if refusal is None else self._hold_back(refusal)

    def _hold_back(self, refusal: Refusal) -> Problem:
        limits = self.key.limits
        allowed = {
            "requests_per_second": f"send {limits.requests_per_second or 0:g} requests a second",
            "concurrent": f"have {limits.concurrent or 0:,} requests under way",
            "requests_per_day": f"send {limits.requests_per_day or 0:,} requests a day",
            "rows_per_day": f"send {limits.rows_per_day or 0:,} rows a day",
        }[refusal.limit]
        self._limited(refusal.limit)
        return limited(f"The key {self.key.name!r} may {allowed}", refusal.seconds)

    def take(self, model: str, packed: Packed, rows: int) -> None:
        """Count rows that fit, and compare them. Raises LimitExceededError for more than are left of the day."""
        if self.account is not None:
            try:
                self.account.take(rows)
            except LimitExceededError as error:
                self._limited(error.limit)
                raise
        if self._rows is not None:
            self._rows.add(rows)
        compared, steps = self._steps.count(model, packed, rows)
        if compared:
            self._counter("compared_rows").add(compared)
            self._counter("steps").add(steps)

    def invalid(self, rows: int) -> None:
        """Count rows that did not fit."""
        self._counter("invalid_rows").add(rows)

    def _limited(self, limit: str) -> None:
        self._board.counter("afterfit_key_limited_total", key=self.key.name, limit=limit).add()

    def _counter(self, what: str) -> Counter:
        return self._board.counter(f"afterfit_key_{what}_total", key=self.key.name)


class KeyGate:
    """A `Gate`. Lets in whoever has a key that opens the route, and everyone where the route is open to all.

    `path`: the file of keys, if there is one, read again when it changes; `kept`: where its last good content is
    kept for workers that start later. `anonymous`: the access of the routes that need no key. `local_only`: without
    a key, only requests for this machine by its own names are let in, which keeps away pages that had their name
    lead to 127.0.0.1.

    `scope["state"]["key"]` is the name of the key that a request came with.
    """

    def __init__(
        self,
        *,
        path: str | None,
        kept: Path,
        anonymous: frozenset[Access],
        local_only: bool,
        ledger: Ledger,
        board: Board,
    ) -> None:
        self._path = path
        self._kept = kept
        self._anonymous = anonymous
        self._local_only = local_only
        self._ledger = ledger
        self._board = board
        self._callers: dict[bytes, KeyCaller] = {}
        self._verified: dict[bytes, KeyCaller] = {}
        self._local_hosts: set[bytes] = set()
        self._seen = None if path is None else stamp(path)
        if path is not None:
            self.use(self._first_keys(path))

    def admit(self, scope: Scope, route: Route | None) -> Problem | None:
        """Why the request is not let in, or None where it is."""
        access: Access = "predict" if route is None else route.access
        if access == "public":
            return None
        why = _NO_KEY
        if self._callers:
            found = self._identify(scope["headers"])
            if isinstance(found, KeyCaller):
                return self._admit_caller(scope, route, found)
            if found is not None:
                why = found
        elif self._path is None:
            why = _CLOSED
        if access not in self._anonymous:
            return self._refuse(why)
        if self._local_only and not self._is_local(scope["headers"]):
            return self._refuse(_FOREIGN_HOST)
        return None

    def _admit_caller(self, scope: Scope, route: Route | None, caller: KeyCaller) -> Problem | None:
        # A path that is none is told to every holder of a key.
        if route is not None and route.access not in caller.opens:
            return self._refuse(
                Problem(
                    403,
                    "scope-too-small",
                    f"The key {caller.key.name!r} has the scope {caller.key.scope}; this needs {route.access}.",
                    headers=_TOO_LITTLE,
                )
            )
        problem = caller.enter()
        if problem is None:
            CALLER.set(caller)
            state = scope.setdefault("state", {})
            state["key"] = caller.key.name
            if caller.is_counted:
                state["afterfit.under_way"] = caller
        return problem

    def leave(self, scope: Scope) -> None:
        """Count that a request has ended, whatever became of it."""
        if CALLER.get() is None:
            return
        CALLER.set(None)
        caller = scope["state"].pop("afterfit.under_way", None)
        if caller is not None:
            caller.account.leave()

    def _identify(self, headers: Iterable[tuple[bytes, bytes]]) -> KeyCaller | Problem | None:
        """Whose key a request has, why that is none, or None where it has no key."""
        secret = None
        for name, value in headers:
            if name == AUTHORIZATION:
                if value[:7].lower() != b"bearer ":
                    continue
                sent = value[7:].strip()
            elif name == API_KEY:
                sent = value.strip()
            else:
                continue
            if secret is not None and sent != secret:
                return _TWO_KEYS
            secret = sent
        if secret is None:
            return None
        # Python hashes bytes with a secret of the process: how long it looks for them tells nothing of the good ones.
        caller = self._verified.get(secret)
        if caller is None:
            digest = digest_of(secret)
            # This may take longer for some digests, of which a caller can choose nothing, and not for some keys.
            caller = self._callers.get(digest)
            if caller is None or not hmac.compare_digest(caller.digest, digest):
                return _UNKNOWN_KEY
            self._verified[secret] = caller
        return caller if time.time() < caller.expires else _EXPIRED

    def _is_local(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        for name, value in headers:
            if name == b"host":
                if value in self._local_hosts:
                    continue
                if not _is_local_name(value):
                    return False
                if len(self._local_hosts) < _HOSTS_KEPT:
                    self._local_hosts.add(value)
        return True

    def _refuse(self, problem: Problem) -> Problem:
        self._board.counter("afterfit_refused_total", reason=problem.kind).add()
        return problem

    def use(self, keys: Iterable[Key]) -> None:
        """Know these keys from now on, and no others. Raises ArgumentError where they have too many limits."""
        known = self._callers
        callers: dict[bytes, KeyCaller] = {}
        for key in keys:
            digest = bytes.fromhex(key.sha256)
            before = known.get(digest)
            if before is not None and before.key == key:
                callers[digest] = before
                continue
            account = self._ledger.account(digest, key.limits) if key.limits.is_any else None
            callers[digest] = KeyCaller(key, account, self._board)
        self._callers = callers
        self._verified = {}

    def _first_keys(self, path: str) -> list[Key]:
        """The keys of the file; where it was broken meanwhile, those that other workers know."""
        try:
            keys = read_keys(path)
        except ArgumentError as error:
            if not self._kept.exists():
                raise
            _log.error("the keys known so far are used: %s", error)
            return read_keys(self._kept)
        write_keys(self._kept, keys)
        return keys

    def close(self) -> None:
        """Let go of the files that the workers share."""
        self._ledger.close()

    async def follow(self) -> None:
        """Read the file of keys again whenever it changes, until cancelled."""
        while self._path is not None:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look at the file of keys once. One that cannot be used is logged, and the keys known so far stay."""
        if self._path is None:
            return
        found = await asyncio.to_thread(stamp, self._path)
        if found == self._seen:
            return
        self._seen = found
        try:
            keys = await asyncio.to_thread(read_keys, self._path)
            self.use(keys)
            await asyncio.to_thread(write_keys, self._kept, keys)
        except (ArgumentError, OSError) as error:
            _log.error("the keys were not read anew, and those known so far are used: %s", error)
            return
        now = dt.datetime.now(dt.UTC)
        good = sum(not key.is_expired(now) for key in keys)
        _log.info("the keys were read anew: %d, %d of them not expired", len(keys), good)


def make_gate(protection: Protection, *, is_local: bool, board: Board, folder: Path, workers: int) -> KeyGate:
    """The gate of one worker. `is_local`: whether the server listens on loopback alone; `folder` all workers share.

    Raises ArgumentError where the file of keys cannot be used.
    """
    anonymous: frozenset[Access] = frozenset({"public"})
    if protection.insecure:
        anonymous = frozenset({"public", "predict"})
    elif protection.keys is None and is_local:
        anonymous = frozenset({"public", "predict", "pull", "admin"})
    return KeyGate(
        path=protection.keys,
        kept=folder / "keys",
        anonymous=anonymous,
        local_only=is_local and protection.keys is None and not protection.insecure,
        ledger=Ledger(folder, workers),
        board=board,
    )


def _is_local_name(host: bytes) -> bool:
    """Whether a Host cannot be a name that somebody else made lead here: an address, or localhost."""
    text = host.decode("latin-1").lower()
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
