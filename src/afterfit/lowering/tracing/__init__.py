"""A person's own function, run once on arrays that build a graph instead of numbers.

It is never pickled and never read: whatever NumPy, pandas or Array API operations it carries out are carried out in
the graph. What a graph cannot follow stops the trace, and the refusal names the line.
"""

from afterfit.lowering.tracing._array import Trace, TracedArray
from afterfit.lowering.tracing._trace import (
    function_code,
    method_code,
    trace_inverse,
    trace_predictor,
    trace_table,
    trace_values,
)

__all__ = [
    "Trace",
    "TracedArray",
    "function_code",
    "method_code",
    "trace_inverse",
    "trace_predictor",
    "trace_table",
    "trace_values",
]
