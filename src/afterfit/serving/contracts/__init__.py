"""The wire contracts, one file each, thin over the data plane."""

from afterfit.serving.contracts._instances import KServeContract, VertexContract, VertexRoutes
from afterfit.serving.contracts._mlflow import MlflowContract
from afterfit.serving.contracts._native import NativeContract
from afterfit.serving.contracts._oip import OpenInferenceContract
from afterfit.serving.contracts._operations import OperationsContract
from afterfit.serving.contracts._store import StoreContract

__all__ = [
    "KServeContract",
    "MlflowContract",
    "NativeContract",
    "OpenInferenceContract",
    "OperationsContract",
    "StoreContract",
    "VertexContract",
    "VertexRoutes",
]
