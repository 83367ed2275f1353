"""Schemas to test with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from afterfit.schema import Categories, Column, Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def build_schema(columns: Sequence[dict[str, Any]]) -> Schema:
    """A schema of columns given by name, type and whatever else; positions are counted here."""
    inputs = {"string": "text", "float": "number", "integer": "number", "boolean": "number"}
    taken = {"number": 0, "text": 0, "integer": 0}
    built = []
    for spec in columns:
        settings = {"nullable": False, "input": inputs[spec["type"]], **spec}
        values = settings.pop("closed", None)
        if values is not None:
            settings["categories"] = Categories(values=tuple(values), open=False)
        position = None
        if settings["input"] is not None:
            position = taken[settings["input"]]
            taken[settings["input"]] += 1
        built.append(Column(position=position, **settings))
    return Schema(columns=tuple(built), outputs=())


@pytest.fixture(name="build_schema", scope="session")
def _build_schema() -> Callable[[Sequence[dict[str, Any]]], Schema]:
    return build_schema


@pytest.fixture(scope="session")
def flights() -> Schema:
    """A schema with a column of every kind."""
    return build_schema(
        [
            {"name": "dep_delay", "type": "float", "nullable": True, "range": (-43.0, 1301.0)},
            {"name": "carrier", "type": "string"},
            {"name": "distance", "type": "integer", "range": (17.0, 4983.0)},
            {"name": "origin", "type": "string", "closed": ["EWR", "JFK", "LGA"]},
            {"name": "night", "type": "boolean"},
            {"name": "dest", "type": "string", "nullable": True},
            {"name": "ticket", "type": "integer", "input": "integer"},
            {"name": "note", "type": "string", "input": None},
        ]
    )


@pytest.fixture
def row() -> dict[str, Any]:
    """A good row of `flights`."""
    return {
        "dep_delay": 2.5,
        "carrier": "UA",
        "distance": 1400,
        "origin": "EWR",
        "night": False,
        "dest": None,
        "ticket": 2**53 + 1,
    }
