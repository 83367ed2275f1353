"""Whether a version may take the place of another, and in what two versions differ."""

from afterfit.promotion._checks import Check, check_promotion
from afterfit.promotion._compatible import incompatibilities
from afterfit.promotion._difference import Difference, compare_bundles
from afterfit.promotion._gates import MetricGate, parse_gate
from afterfit.promotion._promote import Promotion, promote

__all__ = [
    "Check",
    "Difference",
    "MetricGate",
    "Promotion",
    "check_promotion",
    "compare_bundles",
    "incompatibilities",
    "parse_gate",
    "promote",
]
