"""Models over HTTP.

The data plane validates, joins, runs and shapes without a word of HTTP; a contract puts that into the words
of one kind of client; the HTTP layer reads requests and sends answers; granian runs it all.
"""

from afterfit.serving._container import Container, find_container
from afterfit.serving._data_plane import DataPlane, Limits, Policy
from afterfit.serving._security import Protection
from afterfit.serving._server import serve
from afterfit.serving._telemetry import Telemetry

__all__ = ["Container", "DataPlane", "Limits", "Policy", "Protection", "Telemetry", "find_container", "serve"]
