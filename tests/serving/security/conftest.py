"""An application behind a gate, with keys in a file, as one worker has it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from afterfit.serving import Protection
from afterfit.serving._board import add_up
from afterfit.serving._meters import ServerMeter
from afterfit.serving._security import KeyLimits, create_key, make_gate


class Guarded:
    """An application with every contract, its gate, and how to call it."""

    def __init__(
        self, tools, folder, protection, *, is_local=True, workers=1, app=None, models=None, **options
    ):
        self.tools = tools
        self.folder = folder / "counts"
        self.folder.mkdir(exist_ok=True)
        self.meter = ServerMeter(self.folder)
        self.gate = make_gate(
            protection, is_local=is_local, board=self.meter.board, folder=self.folder, workers=workers
        )
        self.app = tools.make_app(
            *(models or [tools.SpyModel()]), gate=self.gate, meter=self.meter, **options
        )

    def send(self, method, path, body=b"", key=None, headers=(), *, how="authorization"):
        sent = [(b"content-type", b"application/json"), *headers]
        if key is not None:
            sent.append(
                (b"authorization", b"Bearer " + key.encode())
                if how == "authorization"
                else (b"x-api-key", key.encode())
            )
        return asyncio.run(self.tools.call(self.app, method, path, body, sent))

    def count(self, name, **labels):
        return sum(
            one.numbers[0]
            for one in add_up(self.folder)
            if one.name == name and set(labels.items()) <= set(one.labels)
        )

    def close(self):
        self.app.stop()
        self.gate.close()
        self.meter.board.close()


@pytest.fixture
def keyring(tmp_path):
    """A file of keys, and a key of each scope."""
    path = tmp_path / "keys.json"
    made = {scope: create_key(path, f"{scope}-key", scope)[0] for scope in ("predict", "pull", "admin")}
    return SimpleNamespace(path=path, **made)


@pytest.fixture
def guard(tools, tmp_path):
    """Makes guarded applications, which are stopped at the end."""
    made = []

    def make(**options):
        protection = Protection(
            **{name: options.pop(name) for name in ("keys", "insecure", "origins") if name in options}
        )
        made.append(Guarded(tools, tmp_path, protection, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def limited_key(keyring):
    """Makes a key with limits."""

    def make(name="limited", **limits):
        return create_key(keyring.path, name, "predict", limits=KeyLimits(**limits))[0]

    return make
