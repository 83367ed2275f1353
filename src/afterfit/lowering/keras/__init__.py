"""Lowerings of Keras 3 on its torch backend; Keras is imported once a model of it is given."""

from afterfit.lowering.keras import _model

__all__ = ["_model"]
