"""Graphs that others made, as models; the package onnx is imported once one is given."""

from afterfit.lowering.onnx import _lower

__all__ = ["_lower"]
