"""Importing the library that wrote a file."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from afterfit.errors import ArgumentError


def import_framework(name: str, label: str) -> Any:
    """A library by the name it is imported by; raises `ArgumentError` where it is not installed."""
    if importlib.util.find_spec(name) is None:
        raise ArgumentError(f"{label} is read with {name}, which is not installed: pip install {name}")
    return importlib.import_module(name)
