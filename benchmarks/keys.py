"""What the gate costs a request: microseconds of processor time, without HTTP.

    pip install ".[serve]" && python benchmarks/keys.py

`stranger` is refused; the others are let in, their row counted, and let out. Medians of `--rounds` rounds in turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from time import process_time

import numpy as np

from afterfit.serving import Protection
from afterfit.serving._board import Board
from afterfit.serving._callers import CALLER
from afterfit.serving._exchange import Route
from afterfit.serving._security import KeyLimits, create_key, make_gate

HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"user-agent", b"python-httpx/0.28.1"),
    (b"accept", b"*/*"),
    (b"content-type", b"application/json"),
    (b"content-length", b"120"),
]
ROWS = [
    {"number": np.random.default_rng(n).normal(size=(1, 8)), "text": np.array([["UA", "JFK"]], dtype=object)}
    for n in range(16)
]
UNLIMITED = KeyLimits(
    requests_per_second=1e9, burst=10**9, concurrent=10**6, requests_per_day=10**12, rows_per_day=10**12
)


async def _handler(body, headers):
    return body


def measure(gate, headers, calls):
    """Seconds of processor time of one request at the gate."""
    route = Route("/predict", "POST", _handler, frozenset({b"application/json"}))
    started = process_time()
    for number in range(calls):
        scope = {"headers": headers, "state": {}}
        gate.admit(scope, route)
        caller = CALLER.get()
        if caller is not None:
            caller.take("flights@1", ROWS[number % 16], 1)
        gate.leave(scope)
    return (process_time() - started) / calls


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        path = folder / "keys.json"
        plain, _ = create_key(path, "plain", "predict")
        limited, _ = create_key(path, "limited", "predict", limits=UNLIMITED)
        board = Board(folder)

        def gate(name, workers=1, keys=str(path)):
            place = folder / name
            place.mkdir()
            return make_gate(Protection(keys=keys), is_local=True, board=board, folder=place, workers=workers)

        def key(secret):
            return [*HEADERS, (b"authorization", b"Bearer " + secret.encode())]

        cases = {
            "no keys, on loopback": (gate("open", keys=None), HEADERS),
            "a key": (gate("one"), key(plain)),
            "a key with every limit": (gate("limits"), key(limited)),
            "the same, several workers": (gate("shared", workers=2), key(limited)),
            "a stranger": (gate("strange"), HEADERS),
            "a wrong key": (gate("wrong"), key("afit_" + "x" * 43)),
        }
        found = {name: [] for name in cases}
        for _ in range(options.rounds):
            for name, (one, headers) in cases.items():
                found[name].append(measure(one, headers, options.calls))
        for name, seconds in found.items():
            print(f"{name:28} {statistics.median(seconds) * 1e6:6.2f} µs")
        for one, _ in cases.values():
            one.close()
        board.close()


if __name__ == "__main__":
    main()
