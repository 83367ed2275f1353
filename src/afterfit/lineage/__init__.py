"""Where a model comes from and where it went: data, run, bundle, version, moves of aliases, served answers."""

from afterfit.lineage._graph import Kind, Lineage, Node
from afterfit.lineage._trace import trace

__all__ = ["Kind", "Lineage", "Node", "trace"]
