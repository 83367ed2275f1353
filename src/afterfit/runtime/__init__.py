"""From a bundle to predictions. Needs numpy, onnxruntime, msgspec and the standard library, nothing else."""

from afterfit.runtime._model import Model, Report, decoded_texts, load
from afterfit.runtime._session import GraphSession, available_cores

__all__ = ["GraphSession", "Model", "Report", "available_cores", "decoded_texts", "load"]
