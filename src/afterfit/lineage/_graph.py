"""What a trace found: things, and which was made from which."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["data", "run", "bundle", "version", "move", "answers"]


@dataclass(frozen=True, slots=True)
class Node:
    """One thing: `key` is unique within a trace, `facts` are plain values by name."""

    key: str
    kind: Kind
    facts: dict[str, Any]


@dataclass(slots=True)
class Lineage:
    """The things that what was asked for was made from, and that were made from it.

    `starts`: the keys of what was asked for. `edges`: pairs of keys, from what was there before to what came of it.
    Laws: there is no circle; every node is reached from a start, along the edges or against them, without turning.
    """

    asked: str
    starts: list[str] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, str], None] = field(default_factory=dict)

    def add(self, key: str, kind: Kind, facts: dict[str, Any]) -> bool:
        """Add a node; whether it is new. What was known of one stays, but for gaps."""
        known = self.nodes.get(key)
        if known is None:
            self.nodes[key] = Node(key, kind, facts)
            return True
        known.facts.update({name: value for name, value in facts.items() if known.facts.get(name) is None})
        return False

    def roots(self) -> list[str]:
        """The keys of what was made from nothing that is known."""
        made = {after for _, after in self.edges}
        return [key for key in self.nodes if key not in made]

    def children(self, key: str) -> list[str]:
        """The keys of what was made from a node."""
        return [after for before, after in self.edges if before == key]
