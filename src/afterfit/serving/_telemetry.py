"""What a server tells of each request, beside what it counts: a line in a log, a span of a trace."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afterfit.errors import ArgumentError
from afterfit.serving._access_log import STDERR, AccessLog, open_log
from afterfit.serving._opentelemetry import Spans, is_wanted, otlp_processor, why_not
from afterfit.serving._trace import begin, current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import Span

    from afterfit.serving._exchange import Route, Scope
    from afterfit.serving._trace import Trace

_log = logging.getLogger("afterfit.serving")


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What one server tells of its requests. `access_log`: a file that lines are added to, or `-` for standard error.

    Spans are exported where the variables of OpenTelemetry name a collector (OTEL_EXPORTER_OTLP_ENDPOINT).
    """

    access_log: str | None = None

    def check(self) -> None:
        """Raises ArgumentError where the log cannot be written, before anything is started."""
        if self.access_log in {None, STDERR}:
            return
        try:
            os.close(open_log(str(self.access_log)))
        except OSError as error:
            raise ArgumentError(
                f"the access log {self.access_log} cannot be written: {error.strerror}"
            ) from None


class Recorder:
    """Remembers each request of one worker, and tells of it at its end."""

    def __init__(self, log: AccessLog | None, spans: Spans | None) -> None:
        self._log = log
        self._spans = spans

    def begin(self, scope: Scope) -> tuple[Trace, Span | None]:
        """Remember a request; what is to be given to `end`."""
        trace = begin(dict(scope["headers"]))
        span = None if self._spans is None else self._spans.begin(trace)
        current.set(trace)
        return trace, span

    def end(
        self,
        begun: tuple[Trace, Span | None],
        scope: Scope,
        route: Route | None,
        status: int,
        seconds: float,
        sent: int,
    ) -> None:
        """Tell of a request that was answered with `sent` bytes of body."""
        trace, span = begun
        if self._log is not None:
            self._log.write(trace, scope, route, status, seconds, sent)
        if self._spans is not None and span is not None:
            self._spans.end(span, trace, scope, route, status)

    def close(self) -> None:
        """Write and export what is left."""
        if self._log is not None:
            self._log.close()
        if self._spans is not None:
            self._spans.close()


def open_recorder(telemetry: Telemetry, environment: Mapping[str, str]) -> Recorder | None:
    """The recorder of a worker; None where nothing is to be told."""
    log = None if telemetry.access_log is None else AccessLog(telemetry.access_log)
    spans = None
    if is_wanted(environment):
        reason = why_not(environment)
        if reason is None:
            spans = Spans(otlp_processor(), environment)
        else:
            _log.warning("requests are not traced: %s", reason)
    return None if log is None and spans is None else Recorder(log, spans)
