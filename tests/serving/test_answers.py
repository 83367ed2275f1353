"""What the workers count becomes a record in the store, and never more or less than that."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterfit.serving._answers import ROWS, AnswerLog
from afterfit.serving._board import Board
from afterfit.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    with Store(tmp_path / "store", create=True) as store:
        return store.url


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    (tmp_path / "counts").mkdir()
    return tmp_path / "counts"


@pytest.fixture
def board(counts: Path) -> Iterator[Callable[[], Board]]:
    """Makes the boards of workers, and closes those that are open."""
    made: list[Board] = []

    def make() -> Board:
        made.append(Board(counts))
        return made[-1]

    yield make
    for one in made:
        if not one._map.closed:
            one.close()


@pytest.fixture
def begin(counts: Path, url: str) -> Iterator[Callable[[], AnswerLog]]:
    """Makes logs whose thread is not running."""
    made: list[AnswerLog] = []

    def make() -> AnswerLog:
        made.append(AnswerLog(counts, url, 8000))
        return made[-1]

    yield make
    for one in made:
        if one._store is not None:
            one._store.close()


def kept(url: str) -> list[tuple[str, str, int]]:
    with Store(url) as store:
        return [(one.model, one.version, one.rows) for one in store.answers()]


def test_rows_are_added_up_over_workers_and_grow(url: str, board, begin):
    boards = [board(), board()]
    log = begin()
    log.keep()
    assert kept(url) == []
    for board in boards:
        board.counter(ROWS, model="line", version="a").add(3)
    boards[0].counter(ROWS, model="line", version="b").add(1)
    boards[0].counter("afterfit_shed_total", model="line", version="a").add(9)
    log.keep()
    assert kept(url) == [("line", "a", 6), ("line", "b", 1)]
    boards[1].close()  # its files stay, as those of a worker that was killed do
    boards[0].counter(ROWS, model="line", version="a").add(4)
    log.keep()
    log.keep()
    assert kept(url) == [("line", "a", 10), ("line", "b", 1)]
    with Store(url) as store:
        a, b = store.answers()
    assert a.first_at == b.first_at < b.last_at < a.last_at
    assert ":8000 " in a.server


def test_each_start_of_a_server_has_a_record_of_its_own(url: str, board, begin):
    board().counter(ROWS, model="line", version="a").add(2)
    for _ in range(2):
        begin().keep()
    assert kept(url) == [("line", "a", 2)] * 2


def test_the_last_rows_are_kept_at_the_end(counts: Path, url: str, board):
    counter = board().counter(ROWS, model="line", version="a")
    with AnswerLog(counts, url, 8000):
        counter.add(5)
    assert kept(url) == [("line", "a", 5)]


def test_a_store_that_is_away_loses_nothing(url: str, board, begin, caplog: pytest.LogCaptureFixture):
    counter = board().counter(ROWS, model="line", version="a")
    log = begin()
    hidden = Path(url).with_name("hidden")
    shutil.move(url, hidden)
    for _ in range(3):
        counter.add(1)
        log.keep()
    assert caplog.text.count("cannot be recorded now") == 1
    shutil.rmtree(url, ignore_errors=True)
    shutil.move(hidden, url)
    log.keep()
    assert kept(url) == [("line", "a", 3)]


def test_a_worker_that_is_about_to_begin_is_waited_for(counts: Path, url: str, begin):
    (counts / "1-00000000.series").touch()
    begin().keep()
    assert kept(url) == []
