"""The language that runs are chosen with.

    expression = term ("or" term)*          term = factor ("and" factor)*
    factor     = "not" factor | "(" expression ")" | name operator value | name "in" "(" value ("," value)* ")"
    operator   = "=" "==" "!=" "<" "<=" ">" ">=" "~"
    name       = status | params.lr | metrics.loss | min.loss | max.loss | tags.stage | `params.any name`
    value      = 0.01 | 'text' | "text" | text

A name without its prefix is looked up among the attributes, the parameters and the metrics. `metrics.` is the
last value,
`min.` and `max.` the lowest and highest of all steps. `~` asks whether text contains other text, whatever its case.
A comparison with a run that lacks the value is false, that by `!=` too. Times are ISO 8601, in UTC if they say no zone.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from afterfit.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[(),]|==|!=|<=|>=|=|<|>|~)|(?P<quoted>'[^']*'|"[^"]*"|`[^`]*`)|(?P<word>[^\s(),=!<>~'"`]+))"""
)
_OPERATORS = {"=": "=", "==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "~": "~"}
TIMES = frozenset(["started", "ended"])


@dataclass(frozen=True, slots=True)
class Comparison:
    """`name operator values`; several values for `in`."""

    name: str
    operator: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """`and` or `or` of several, `not` of one."""

    operator: str
    parts: tuple[Expression, ...]


Expression = Comparison | Combination


def parse_filter(text: str) -> Expression:
    """Read a filter. Raises `ArgumentError` that says where it stops being one."""
    tokens, at = [], 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise ArgumentError(f"the filter cannot be read from {text[at:].strip()!r} on")
        kind = str(found.lastgroup)
        tokens.append((kind, found[kind]))
        at = found.end()
    parser = _Parser(tokens)
    expression = parser.expression(0)
    if parser.at < len(tokens):
        raise parser.wrong("`and`, `or` or the end")
    return expression


def as_time(value: Any) -> float:
    """A time as seconds since 1970. Raises `ArgumentError` where it is none."""
    if isinstance(value, float | int):
        return float(value)
    try:
        found = dt.datetime.fromisoformat(str(value))
    except ValueError:
        raise ArgumentError(f"{value!r} is no time; write 2026-01-31 or 2026-01-31T12:00") from None
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()


_DEEPEST = 50


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.at = 0

    def wrong(self, expected: str) -> ArgumentError:
        got = repr(self.tokens[self.at][1]) if self.at < len(self.tokens) else "the end"
        return ArgumentError(
            f"the filter has {got} where {expected} is expected; an example: lr > 0.01 and status = finished"
        )

    def word(self) -> str:
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        return text.lower() if kind == "word" else text if kind == "mark" else ""

    def taken(self, text: str) -> bool:
        found = self.word() == text
        self.at += found
        return found

    def expression(self, depth: int) -> Expression:
        return self._joined("or", lambda: self._joined("and", lambda: self._factor(depth)))

    def _joined(self, operator: str, part: Callable[[], Expression]) -> Expression:
        parts = [part()]
        while self.taken(operator):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Combination(operator, tuple(parts))

    def _factor(self, depth: int) -> Expression:
        if depth > _DEEPEST:
            raise ArgumentError(f"the filter nests deeper than {_DEEPEST}")
        if self.taken("not"):
            return Combination("not", (self._factor(depth + 1),))
        if self.taken("("):
            inner = self.expression(depth + 1)
            if not self.taken(")"):
                raise self.wrong("`)`")
            return inner
        name = self._text("a name", quotes="`")
        if self.taken("in"):
            return Comparison(name, "in", self._values())
        operator = _OPERATORS.get(self.word())
        if operator is None:
            raise self.wrong("one of = != < <= > >= ~ in")
        self.at += 1
        return Comparison(name, operator, (self._value(),))

    def _values(self) -> tuple[Any, ...]:
        if not self.taken("("):
            raise self.wrong("`(`")
        values = [self._value()]
        while self.taken(","):
            values.append(self._value())
        if not self.taken(")"):
            raise self.wrong("`)`")
        return tuple(values)

    def _text(self, expected: str, quotes: str) -> str:
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        if kind not in {"word", "quoted"} or (kind == "quoted" and text[0] not in quotes):
            raise self.wrong(expected)
        self.at += 1
        return text[1:-1] if kind == "quoted" else text

    def _value(self) -> Any:
        quoted = self.at < len(self.tokens) and self.tokens[self.at][0] == "quoted"
        text = self._text("a value", quotes="'\"")
        if quoted:
            return text
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        try:
            return float(text)
        except ValueError:
            return text
