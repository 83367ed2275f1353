"""Models that lie in files of other libraries, saved as bundles by a process of their own."""

from afterfit.capture._adopt._parent import MEMORY_LIMIT, TIME_LIMIT, adopt

__all__ = ["MEMORY_LIMIT", "TIME_LIMIT", "adopt"]
