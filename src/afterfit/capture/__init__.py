"""The save workflow, written once for every framework: schema, lower, golden rows, parity, write."""

from afterfit.capture._frames import reference_frame, row_count, take
from afterfit.capture._probes import MODEL_REFUSALS
from afterfit.capture._reference import Reference
from afterfit.capture._save import save

__all__ = ["MODEL_REFUSALS", "Reference", "reference_frame", "row_count", "save", "take"]
