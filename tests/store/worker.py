"""A process of test_processes: pushes, promotes, rolls back, logs and reads at random, and says what was acknowledged.

`python worker.py STORE SEED BUNDLE...`; each acknowledged call is a line of JSON on standard output, written at
once. Its training run is in the folder that AFTERFIT_STORE names. It runs until it is killed, or until standard input
ends.
"""

from __future__ import annotations

import json
import random
import sys
import threading

from afterfit.bundle import read_bundle
from afterfit.errors import AliasMovedError, StoreError
from afterfit.store import Store
from afterfit.tracking import Run


def main() -> None:
    url, seed, *bundles = sys.argv[1:]
    draw = random.Random(int(seed))
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    with Store(url, create=True) as store, Run("worker", {"seed": seed}) as run:
        while not ended.is_set():
            said = act(store, run, draw, bundles, seed)
            if said is not None:
                sys.stdout.write(json.dumps(said) + "\n")
                sys.stdout.flush()


def act(
    store: Store, run: Run, draw: random.Random, bundles: list[str], who: str
) -> dict[str, object] | None:
    kind = draw.choice(["push", "push", "promote", "promote", "rollback", "read", "gc", "log", "log"])
    if kind == "log":
        values = [draw.random() for _ in range(20)]
        for value in values:
            run.log(loss=value)
        return {"kind": kind, "run": run.id, "values": values}
    if kind == "push":
        version = store.push(draw.choice(bundles), name=draw.choice(["a", "b"]), by=who)
        return {"kind": kind, "name": version.name, "number": version.number, "digest": version.digest}
    if kind == "gc":
        store.collect()
        return None
    names = store.names()
    if not names:
        return None
    name = draw.choice(names)
    if kind == "read":
        version = store.resolve(name)
        assert read_bundle(store.fetch(version)).digest == version.digest
        return None
    try:
        if kind == "rollback":
            move = store.rollback(name, "production", by=who)
        else:
            seen = len(store.history(name, "production"))
            number = draw.choice(store.versions(name)).number
            move = store.promote(name, "production", number, because="b", by=who, expected=seen)
    except AliasMovedError:
        return {"kind": "lost"}
    except StoreError as error:
        if "no earlier version" in str(error) or "has no alias" in str(error):
            return None
        raise
    return {"kind": "move", "name": name, "sequence": move.sequence, "to": move.to_number, "by": who}


if __name__ == "__main__":
    main()
