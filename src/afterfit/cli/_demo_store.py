"""The end of the demo: the model in the store, promoted, served by its alias, replaced, and put back."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from afterfit.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from afterfit.cli._demo_model import Flights

SWAP_SECONDS = 30


def remember(
    facts: Any,
    flights: Flights,
    path: Path,
    serve: Callable[..., AbstractContextManager[tuple[str, int]]],
    ask: Callable[[str], tuple[int, dict[str, Any]]],
) -> None:
    """Push, promote, serve by alias, replace, roll back.

    `serve` starts a server of what it is given, with environment variables; `ask` asks one row of the server at a URL.
    """
    from afterfit.lineage import trace
    from afterfit.promotion import promote

    store_folder = path.parent / "store"
    with Store(store_folder, create=True) as store:
        first = store.push(path)
        facts.state(f"pushed to a store in a folder: {first} is sha256:{first.digest[:12]}...")
        done = promote(store, str(first), "production", because="the first model")
        facts.state(
            f"promoted {first} to production after {len(done.checks)} gates: "
            f"{', '.join(check.check for check in done.checks)}",
            holds=done.move is not None,
        )
        bare = store.push(_train_bare(flights, path.with_name("bare.afit")))
        refused = promote(store, str(bare), "production", because="fewer columns")
        failing = [check for check in refused.checks if not check.holds]
        why = failing[0].detail.splitlines()[1] if failing else "nothing"
        facts.state(
            f"promoting a model of fewer columns in its place is refused: {why}",
            holds=refused.move is None and [check.check for check in failing] == ["schema"],
        )
        second = store.push(_train_other(flights, path.with_name("second.afit")))
        with serve("flights@production", environment={**os.environ, "AFTERFIT_STORE": str(store_folder)}) as (
            url,
            _,
        ):
            status, answer = ask(url)
            asked = 1
            facts.state(
                f"serving flights@production: answered by version {answer.get('version')}",
                holds=status == 200 and answer["version"] == first.digest[:12],
            )
            promote(store, str(second), "production", because="less regularised")
            asked += _swapped(facts, ask, url, f"{second} promoted", second.digest[:12])
            store.rollback("flights", "production", because="a demonstration")
            asked += _swapped(facts, ask, url, f"rolled back to {first}", first.digest[:12])
        history = store.history("flights", "production")
        facts.state(
            "the history has every move: "
            + ", ".join(f"{move.kind} to {move.to_number} ({move.because})" for move in history),
            holds=[move.to_number for move in history] == [first.number, second.number, first.number],
        )
        found = trace("flights@production", store, None)
        rows = [node.facts["rows"] for node in found.nodes.values() if node.kind == "answers"]
        total = sum(one.rows for one in store.answers(model="flights"))
        facts.state(
            f"and its lineage leads from {sum(rows):,} served rows to the data it was trained on; of {asked:,} rows "
            f"that were asked, {total:,} are on record",
            holds=total == asked and len(rows) == 1 and found.nodes[found.roots()[0]].kind == "data",
        )


def _swapped(
    facts: Any, ask: Callable[[str], tuple[int, dict[str, Any]]], url: str, what: str, version: str
) -> int:
    """Ask without a pause until `version` answers; every request must be answered. How many were asked."""
    started = time.perf_counter()
    asked = failed = 0
    while time.perf_counter() - started < SWAP_SECONDS:
        status, answer = ask(url)
        asked += 1
        failed += status != 200
        if answer.get("version") == version:
            break
    seconds = time.perf_counter() - started
    facts.state(
        f"{what}: the server is on it after {seconds:.2f} s; of {asked:,} requests meanwhile {failed} failed",
        holds=failed == 0 and answer.get("version") == version,
        seconds=seconds,
    )
    return asked


def _train_bare(flights: Flights, path: Path) -> Path:
    import afterfit
    from afterfit.cli._demo_model import NUMBERS, train_by_hand

    scaler, bare = train_by_hand(flights)
    raw = flights.train[NUMBERS]
    afterfit.save(bare, path, X=raw[raw.notna().all(axis=1)], preprocess=scaler, name="flights")
    return path


def _train_other(flights: Flights, path: Path) -> Path:
    import afterfit
    from afterfit.cli._demo_model import train_pipeline

    afterfit.save(train_pipeline(flights, C=10.0), path, X=flights.train, y=flights.late, name="flights")
    return path
