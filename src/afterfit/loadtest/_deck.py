"""The requests of a load test, each with what its answer has to be."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from afterfit.bundle import encode_json
from afterfit.errors import ArgumentError, SchemaError
from afterfit.loadtest._malformed import MistakeMaker
from afterfit.loadtest._reference import Answers, Expected, answers_of_model, answers_of_server
from afterfit.loadtest._rows import RowMaker
from afterfit.schema import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from afterfit.loadtest._client import Reply
    from afterfit.loadtest._rows import Row
    from afterfit.loadtest._target import Target
    from afterfit.runtime import Model

    Ask = Callable[[bytes], Reply]

GOLDEN_ROWS = 500
REFERENCE_ROWS = 100
"""Rows in one of the requests that ask a server for what it answers."""

SIZE = 1000
"""Different good requests."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Of all requests, the shares that are deliberately malformed, larger than the server takes, and abandoned."""

    malformed: float = 0.0
    oversized: float = 0.0
    abandoned: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.malformed, self.oversized, self.abandoned)
        if not all(0 <= share <= 1 for share in shares) or sum(shares) > 1:
            raise ArgumentError("the shares of requests must lie between 0 and 1, together too")


@dataclass(slots=True)
class Exchange:
    """A request, and what has to come back: `expected` for good rows, one of `statuses` for the others.

    An `is_abandoned` one is sent in part, and nothing may come back.
    """

    kind: str
    message: bytes
    rows: int = 0
    expected: Expected | None = None
    statuses: frozenset[int] = field(default=frozenset({200}))
    is_abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Deck:
    """What is dealt, over and over, in an order that its seed decides.

    `left_out`: rows that the server refused when it was asked for its reference, and that are not sent.
    """

    exchanges: Sequence[Exchange]
    left_out: int = 0


def deck_of_models(
    target: Target,
    models: Sequence[Model],
    *,
    shares: Shares | None = None,
    rows: int = 1,
    max_body: int = 16 * 1024 * 1024,
    seed: int = 0,
    ask: Ask | None = None,
) -> Deck:
    """Requests for the versions `models` of one model, of `rows` rows each, with the models' own answers.

    Rows are golden ones and mutations of them. With `ask`, the server is asked for all of them first, and those that
    it refuses are left out: a server may be told to take no unusual values. `max_body`: what the server takes, in
    bytes. Raises ArgumentError where there are no golden rows or no row is taken.
    """
    model = models[0]
    chance = random.Random(seed)  # noqa: S311 - no secret
    golden = [row.input for row in model.bundle.golden][:GOLDEN_ROWS]
    if not golden:
        raise ArgumentError(f"{model.name} has no golden rows to send")
    maker = RowMaker(model.schema.columns, golden, chance)
    kinds = [("golden", row) for row in golden]
    kinds += [("mutated", maker.mutate()) for _ in range(max(SIZE - len(golden), len(golden)))]
    kinds = [(kind, row) for kind, row in kinds if all(_is_answered(one, row) for one in models)]
    path = f"/models/{quote(model.name)}/predict"
    taken = kinds if ask is None else _reference(target, path, kinds, ask)[0]
    answers = {one.version: answers_of_model(one, [row for _, row in taken]) for one in models}
    mistakes = MistakeMaker(target, path, model.schema.columns, golden, chance)
    good = _good(target, path, taken, answers, rows)
    exchanges = _deal(good, mistakes, shares or Shares(), (target, path, max_body), chance)
    return Deck(exchanges, len(kinds) - len(taken))


def deck_of_server(
    target: Target,
    ask: Ask,
    *,
    name: str | None = None,
    shares: Shares | None = None,
    rows: int = 1,
    max_body: int = 16 * 1024 * 1024,
    seed: int = 0,
) -> Deck:
    """Requests for a server of which only the URL is known: its own answers, asked for in batches, are the reference.

    `name` is that of the model, where it serves several. Raises ArgumentError where that does not fit.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    description = _describe(target, ask, name)
    columns = msgspec.convert(description["columns"], tuple[Column, ...])
    example = description["example"]["rows"][0]
    maker = RowMaker(columns, [example], chance)
    kinds = [("example", example), *(("mutated", maker.mutate()) for _ in range(SIZE - 1))]
    path = description["predict"]
    taken, answers = _reference(target, path, kinds, ask)
    mistakes = MistakeMaker(target, path, columns, [example], chance)
    good = _good(target, path, taken, answers, rows)
    exchanges = _deal(good, mistakes, shares or Shares(), (target, path, max_body), chance)
    return Deck(exchanges, len(kinds) - len(taken))


def _is_answered(model: Model, row: Row) -> bool:
    try:
        model.decoder.decode_rows([row])
    except SchemaError:
        return False
    return True


def _describe(target: Target, ask: Ask, name: str | None) -> dict[str, Any]:
    listed = _ask_json(target, ask, "/models")["models"]
    names = list(dict.fromkeys(one["name"] for one in listed))
    if name is None:
        if len(names) != 1:
            raise ArgumentError(
                f"{target.url} serves {', '.join(names) or 'no model'}; name one with --model"
            )
        name = names[0]
    elif name not in names:
        raise ArgumentError(f"{target.url} serves {', '.join(names) or 'no model'}, not {name}")
    description: dict[str, Any] = _ask_json(target, ask, f"/models/{quote(name)}")
    return description


def _ask_json(target: Target, ask: Ask, path: str) -> Any:
    reply = ask(target.request("GET", path))
    _check_allowed(target, reply)
    if reply.status != 200:
        raise ArgumentError(f"{target.url}{path} answers {reply.status}; is that an afterfit server?")
    try:
        return msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        raise ArgumentError(f"{target.url}{path} answers no JSON; is that an afterfit server?") from None


def _check_allowed(target: Target, reply: Reply) -> None:
    if reply.status in {401, 403}:
        raise ArgumentError(f"{target.url} answers {reply.status}: give a key that may predict with --key")


def _reference(
    target: Target, path: str, kinds: Sequence[tuple[str, Row]], ask: Ask
) -> tuple[list[tuple[str, Row]], dict[str, Answers]]:
    """The rows that the server takes, and its answers to them."""
    taken: list[tuple[str, Row]] = []
    given: list[dict[str, Any]] = []
    waiting = [list(kinds[start : start + REFERENCE_ROWS]) for start in range(0, len(kinds), REFERENCE_ROWS)]
    while waiting:
        batch = waiting.pop()
        reply = ask(target.request("POST", path, encode_json({"rows": [row for _, row in batch]})))
        _check_allowed(target, reply)
        refused = _refused_rows(reply)
        if reply.status == 200:
            given.append(msgspec.json.decode(reply.body))
            taken += batch
        elif reply.status == 413 and len(batch) > 1:
            waiting += [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        elif refused:
            left = [one for row, one in enumerate(batch) if row not in refused]
            waiting += [left] if left else []
        else:
            raise ArgumentError(
                f"{target.url}{path} answers {reply.status} to good rows: {reply.body[:300]!r}"
            )
    if not taken:
        raise ArgumentError(f"{target.url}{path} takes none of the rows")
    version = given[0].get("version")
    if any(answer.get("version") != version for answer in given):
        raise ArgumentError(
            f"{target.url} changed the version while it was asked for its reference; try again"
        )
    outputs = [name for name, value in given[0].items() if _is_output(name, value)]
    return taken, {str(version): answers_of_server(given, outputs)}


def _is_output(name: str, value: Any) -> bool:
    return name not in {"classes", "columns", "warnings"} and isinstance(value, list)


def _refused_rows(reply: Reply) -> set[int]:
    if reply.status != 422:
        return set()
    errors = msgspec.json.decode(reply.body).get("errors", [])
    return {error["row"] for error in errors if isinstance(error.get("row"), int)}


def _good(
    target: Target, path: str, taken: Sequence[tuple[str, Row]], answers: dict[str, Answers], rows: int
) -> list[Exchange]:
    good = []
    for first in range(len(taken)):
        numbers = [(first + step) % len(taken) for step in range(rows)]
        body = encode_json({"rows": [taken[number][1] for number in numbers]})
        expected = Expected({version: known.take(numbers) for version, known in answers.items()})
        good.append(Exchange(taken[first][0], target.request("POST", path, body), rows, expected))
    return good


def _deal(
    good: list[Exchange],
    mistakes: MistakeMaker,
    shares: Shares,
    place: tuple[Target, str, int],
    chance: random.Random,
) -> list[Exchange]:
    """Good and bad requests in their shares, shuffled."""
    target, path, max_body = place
    bad_share = shares.malformed + shares.oversized + shares.abandoned
    bad: list[Exchange] = []
    total = 100 * len(good) if bad_share == 1 else round(len(good) / (1 - bad_share))
    for _ in range(round(total * shares.malformed)):
        refused = mistakes.make()
        bad.append(Exchange(f"malformed: {refused.mistake}", refused.message, statuses=refused.statuses))
    if shares.oversized:
        body = b'{"rows":[' + b" " * max_body + b"]}"
        oversized = Exchange("oversized", target.request("POST", path, body), statuses=frozenset({413}))
        bad += [oversized] * max(1, round(total * shares.oversized))
    for _ in range(round(total * shares.abandoned)):
        message = chance.choice(good).message
        part = message[: chance.randrange(1, len(message) + 1)]
        bad.append(Exchange("abandoned", part, is_abandoned=True))
    dealt = bad if bad_share == 1 else good + bad
    chance.shuffle(dealt)
    return dealt
