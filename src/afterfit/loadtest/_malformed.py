"""Requests that have to be refused, each with the statuses by which a server may say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from afterfit.bundle import encode_json

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from afterfit.loadtest._rows import Row
    from afterfit.loadtest._target import Target
    from afterfit.schema import Column

NOT_JSON, INVALID = frozenset({400}), frozenset({422})


class Refused(NamedTuple):
    """A request, what is wrong with it, and the statuses one of which has to be the answer's."""

    message: bytes
    mistake: str
    statuses: frozenset[int]


class MistakeMaker:
    """Spoils good rows in every way that people and programs do."""

    def __init__(
        self, target: Target, path: str, columns: Sequence[Column], rows: Sequence[Row], chance: random.Random
    ) -> None:
        self._target = target
        self._path = path
        self._rows = rows
        self._chance = chance
        self._read = [column for column in columns if column.input is not None]
        self._strict = [column for column in self._read if not column.nullable]
        self._typed = [column for column in self._read if column.shape is None and column.type != "string"]
        self._ways: list[Callable[[], Refused]] = [
            self._cut_off,
            self._no_json,
            self._not_rows,
            self._unknown_column,
            self._wrong_media_type,
            self._wrong_path,
            self._wrong_method,
            self._nested,
        ]
        if self._read:
            self._ways.append(self._missing_column)
        if self._typed:
            self._ways.append(self._wrong_type)
        if self._strict:
            self._ways.append(self._null)

    def make(self) -> Refused:
        """A request with one mistake."""
        return self._chance.choice(self._ways)()

    def _row(self) -> Row:
        return dict(self._chance.choice(self._rows))

    def _post(self, body: bytes, mistake: str, statuses: frozenset[int], media_type: str = "") -> Refused:
        message = self._target.request("POST", self._path, body, media_type or "application/json")
        return Refused(message, mistake, statuses)

    def _post_row(self, row: Row, mistake: str) -> Refused:
        return self._post(encode_json({"rows": [row]}), mistake, INVALID)

    def _cut_off(self) -> Refused:
        body = encode_json({"rows": [self._row()]})
        return self._post(body[: self._chance.randrange(1, len(body))], "JSON that is cut off", NOT_JSON)

    def _no_json(self) -> Refused:
        return self._post(self._chance.randbytes(40), "bytes that are no JSON", NOT_JSON)

    def _not_rows(self) -> Refused:
        body = self._chance.choice([b"[]", b'{"rows":{}}', b'{"rows":[1]}', b'{"row":[]}', b"null", b'"x"'])
        return self._post(body, "JSON that is no rows", INVALID)

    def _unknown_column(self) -> Refused:
        return self._post_row({**self._row(), "no such column": 1}, "a column that the model does not know")

    def _wrong_media_type(self) -> Refused:
        body = encode_json({"rows": [self._row()]})
        return self._post(body, "a media type that is not read", frozenset({415}), "application/x-unknown")

    def _wrong_path(self) -> Refused:
        body = encode_json({"rows": [self._row()]})
        message = self._target.request("POST", f"{self._path}-{self._chance.randrange(10**6)}", body)
        return Refused(message, "a path that is not there", frozenset({404}))

    def _wrong_method(self) -> Refused:
        message = self._target.request("DELETE", self._path)
        return Refused(message, "a method that is not there", frozenset({405}))

    def _nested(self) -> Refused:
        depth = self._chance.randrange(1_000, 3_000)
        return self._post(b"[" * depth + b"]" * depth, "lists in lists in lists", NOT_JSON | INVALID)

    def _missing_column(self) -> Refused:
        row = self._row()
        row.pop(self._chance.choice(self._read).name, None)
        return self._post_row(row, "a column that is missing")

    def _wrong_type(self) -> Refused:
        column = self._chance.choice(self._typed)
        return self._post_row({**self._row(), column.name: {"is": "no value"}}, "a value of no type")

    def _null(self) -> Refused:
        return self._post_row({**self._row(), self._chance.choice(self._strict).name: None}, "null")
