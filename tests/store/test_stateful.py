"""The store against a dictionary, over random sequences of calls."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from afterfit.bundle import read_bundle
from afterfit.errors import AliasMovedError, StoreError, UnknownReferenceError
from afterfit.store import Store

NAMES = ("a", "b")
ALIASES = ("production", "staging")


class Model(RuleBasedStateMachine):
    """`versions`: name to digests in order. `stacks` and `counts`: of each alias the versions it may go back to."""

    paths: list[Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(self.folder / "store", create=True)
        self.versions: dict[str, list[str]] = {}
        self.stacks: dict[tuple[str, str], list[int]] = {}
        self.moves: dict[tuple[str, str], list[int]] = {}
        self.digests = [read_bundle(path).digest for path in self.paths]

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(name=st.sampled_from(NAMES), bundle=st.integers(0, 3))
    def push(self, name: str, bundle: int) -> None:
        known = self.versions.setdefault(name, [])
        digest = self.digests[bundle]
        if digest not in known:
            known.append(digest)
        version = self.store.push(self.paths[bundle], name=name)
        assert (version.number, version.digest) == (known.index(digest) + 1, digest)

    @rule(
        name=st.sampled_from(NAMES),
        alias=st.sampled_from(ALIASES),
        number=st.integers(1, 4),
        late=st.booleans(),
    )
    def promote(self, name: str, alias: str, number: int, late: bool) -> None:
        moves = self.moves.setdefault((name, alias), [])
        try:
            self.store.promote(name, alias, number, because="b", expected=len(moves) + late)
        except UnknownReferenceError:
            assert number > len(self.versions.get(name, []))
        except AliasMovedError:
            assert late
        else:
            assert not late
            moves.append(number)
            self.stacks.setdefault((name, alias), []).append(number)

    @rule(name=st.sampled_from(NAMES), alias=st.sampled_from(ALIASES))
    def roll_back(self, name: str, alias: str) -> None:
        stack = self.stacks.get((name, alias), [])
        try:
            move = self.store.rollback(name, alias)
        except StoreError:
            assert len(stack) < 2
        else:
            stack.pop()
            assert move.to_number == stack[-1]
            self.moves[name, alias].append(stack[-1])

    @rule()
    def collect(self) -> None:
        assert self.store.collect().blobs == ()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store(self.folder / "store")

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def fetch(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.versions)))
        number = data.draw(st.integers(1, len(self.versions[name])))
        version = self.store.resolve(f"{name}@{number}")
        assert read_bundle(self.store.fetch(version)).digest == self.versions[name][number - 1]

    @invariant()
    def agrees(self) -> None:
        assert self.store.names() == sorted(self.versions)
        for name, digests in self.versions.items():
            assert [version.digest for version in self.store.versions(name)] == digests
            expected = {alias: stack[-1] for (of, alias), stack in self.stacks.items() if of == name}
            assert self.store.aliases(name) == expected
            for alias, number in expected.items():
                assert self.store.resolve(f"{name}@{alias}").number == number
                history = self.store.history(name, alias)
                assert [move.to_number for move in history] == self.moves[name, alias]
                assert [move.sequence for move in history] == list(range(1, len(history) + 1))
                assert [move.from_number for move in history] == [None, *self.moves[name, alias][:-1]]


@pytest.mark.parametrize("examples", [12, pytest.param(300, marks=pytest.mark.sweep)])
def test_the_store_does_what_a_dictionary_does(bundles, examples):
    Model.paths = bundles
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
