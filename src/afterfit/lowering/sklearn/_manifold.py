"""Isomap and LocallyLinearEmbedding, which are refused."""

from __future__ import annotations

from afterfit.lowering._registry import refuse

# Lowerings of both were right on continuous data and up to 0.56 off on iris, whose rows lie on a grid.
refuse(
    "which of several equally near training rows it takes for neighbours is decided by the order of a search, and "
    "its answer jumps with that choice",
    "Use PCA, KernelPCA or NeighborhoodComponentsAnalysis instead",
    "sklearn.manifold.Isomap",
    "sklearn.manifold.LocallyLinearEmbedding",
)
