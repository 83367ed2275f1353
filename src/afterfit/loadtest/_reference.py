"""What an answer has to be, and whether one that came back is that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from afterfit.runtime import decoded_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from afterfit.loadtest._rows import Row
    from afterfit.runtime import Model

REMEMBERED = 8
"""Spellings of a right answer that are known again without being read."""

TOLERANCE = 1e-6
"""Where only the server is known, and so not how exact it is; relative to the largest answer, at least 1."""

_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True, slots=True)
class Answers:
    """The right answer to the rows of one request, of one version of the model.

    `values`: by their name in the answer, a list with an entry for each row. `scales`: of those that are numbers,
    what a difference is divided by before it is held against `tolerance`.
    """

    values: Mapping[str, list[Any]]
    scales: Mapping[str, float]
    tolerance: float

    def take(self, rows: Sequence[int]) -> Answers:
        """The answer to these rows in one request."""
        return Answers(
            {name: [values[row] for row in rows] for name, values in self.values.items()},
            self.scales,
            self.tolerance,
        )

    def difference(self, got: Mapping[str, Any]) -> str | None:
        """In what an answer differs, or None."""
        for name, expected in self.values.items():
            found = got.get(name)
            if not isinstance(found, list) or len(found) != len(expected):
                return f"{name} has {_length(found)}, not {len(expected)} rows"
            scale = self.scales.get(name)
            for row, (known, value) in enumerate(zip(expected, found, strict=True)):
                same = known == value if scale is None else _near(known, value, self.tolerance * scale)
                if not same and not (name == "predictions" and self._is_tie(got, row, value)):
                    return f"row {row}: {name} is {_short(value)}, not {_short(known)}"
        return None

    def _is_tie(self, got: Mapping[str, Any], row: int, label: Any) -> bool:
        """Whether `label` is as probable as the expected one, as far as the tolerance can tell."""
        known = self.values.get("probabilities")
        classes = got.get("classes")
        if known is None or not isinstance(classes, list) or label not in classes:
            return False
        probabilities = known[row]
        return bool(max(probabilities) - probabilities[classes.index(label)] <= self.tolerance)


class Expected:
    """What a request must be answered with: the right answer of whichever version answered it."""

    __slots__ = ("_seen", "versions")

    def __init__(self, versions: Mapping[str, Answers]) -> None:
        self.versions = versions
        self._seen: dict[bytes, str] = {}

    def check(self, body: bytes) -> tuple[str | None, str | None]:
        """The version that answered, where it says so, and what is wrong with the answer."""
        version = self._seen.get(body)
        if version is not None:
            return version, None
        try:
            got = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            return None, f"the answer is no JSON: {error}"
        if not isinstance(got, dict):
            return None, "the answer is no object"
        named = str(got.get("version"))
        answers = self.versions.get(named)
        if answers is None:
            return None, f"version {named!r} answered; known are {', '.join(self.versions)}"
        why = answers.difference(got)
        if why is None and len(self._seen) < REMEMBERED:
            self._seen[body] = named
        return named, why


def answers_of_model(model: Model, rows: Sequence[Row]) -> Answers:
    """What the model itself answers, here. Raises SchemaError for rows that do not fit."""
    arrays = model.run(model.decoder.decode_rows(rows))
    values: dict[str, list[Any]] = {}
    scales: dict[str, float] = {}
    for output in model.schema.outputs:
        array = arrays[output.name]
        if output.name == "transformed" and output.type == "string":
            array = decoded_texts(array)
        name = "predictions" if output.name in {"prediction", "transformed"} else output.name
        values[name] = array.tolist()
        if output.type == "float" and (output.classes is None or output.name != "prediction"):
            scales[name] = _scale(values[name])
    return Answers(values, scales, model.report.tolerance)


def answers_of_server(answers: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> Answers:
    """What a server gave before, to rows in several requests, as what it has to give again."""
    values = {name: [value for answer in answers for value in answer[name]] for name in outputs}
    scales = {name: _scale(value) for name, value in values.items() if _is_number(value)}
    return Answers(values, scales, TOLERANCE)


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_number, value))
    return isinstance(value, float) or (isinstance(value, str) and value in _SPELLED)


def _scale(value: Any) -> float:
    """The largest finite magnitude, at least 1."""
    if isinstance(value, list):
        return max(map(_scale, value), default=1.0)
    number = _SPELLED.get(value) if isinstance(value, str) else value
    return max(1.0, abs(number)) if number is not None and math.isfinite(number) else 1.0


def _near(known: Any, value: Any, within: float) -> bool:
    if isinstance(known, list):
        return (
            isinstance(value, list)
            and len(known) == len(value)
            and all(_near(a, b, within) for a, b in zip(known, value, strict=True))
        )
    known = _SPELLED.get(known, known) if isinstance(known, str) else known
    value = _SPELLED.get(value, value) if isinstance(value, str) else value
    if known == value:
        return True
    if not isinstance(known, int | float) or not isinstance(value, int | float):
        return False
    return (math.isnan(known) and math.isnan(value)) or abs(known - value) <= within


def _length(found: Any) -> str:
    return str(len(found)) if isinstance(found, list) else "no"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
