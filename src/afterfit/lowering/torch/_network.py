"""A network as afterfit asks it: what it takes, what it answers, and its graph."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.errors import UnsupportedModelError
from afterfit.lowering.torch._arguments import read_arguments, runs
from afterfit.schema import is_ragged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import onnx
    from numpy.typing import NDArray

_RUN_ROWS = 1024
OPSET = 21


class Network:
    """A network in memory, whose `predict` takes raw rows.

    `model`: the person's object. `module`: the torch module that holds its weights. `parameters`: the names of its
    arguments. `call`: answers a list of tensors. `traced`: what holds while the graph is made, if anything. Computes in
    the precision of the weights, float32 mostly.
    """

    def __init__(
        self,
        model: Any,
        module: Any,
        parameters: Sequence[str],
        call: Callable[[list[Any]], Any],
        traced: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.model = model
        self.module = module
        self.parameters = tuple(parameters)
        self.call = call
        self.traced = traced
        self.dtype = self._find_dtype()

    def _find_dtype(self) -> np.dtype[Any]:
        found = {str(value.dtype) for value in self.module.state_dict().values() if value.is_floating_point()}
        if not found <= {"torch.float32", "torch.float64"} or len(found) > 1:
            raise self.refuse(
                f"its weights are of {' and '.join(sorted(found))}",
                "Convert it with .float() or .double() and check what it answers then",
            )
        return np.dtype(np.float64 if found == {"torch.float64"} else np.float32)

    def refuse(self, reason: str, way_out: str) -> UnsupportedModelError:
        """The error to raise where the network cannot be captured."""
        return UnsupportedModelError(type(self.model).__name__, "", reason, way_out)

    def predict(self, frame: Any) -> NDArray[Any]:
        """The answers `[N, ...]` to the rows of a table; `ValueError` where it has none, or NaN for a missing value."""
        arguments = read_arguments(self.model, frame, self.parameters, self.dtype)
        is_matrix = not any(map(is_ragged, arguments)) and len(arguments) == 1 and arguments[0].ndim == 2
        answers: NDArray[Any] | None = None
        for rows, parts in runs(arguments, _RUN_ROWS):
            part = self._answer(parts, is_matrix=is_matrix)
            if answers is None:
                answers = np.empty((len(arguments[0]), *part.shape[1:]), dtype=part.dtype)
            answers[rows] = part
        if answers is None:
            raise ValueError("there are no rows")
        self._check_gaps(arguments, answers)
        return answers

    def _answer(self, arguments: Sequence[NDArray[Any]], *, is_matrix: bool) -> NDArray[Any]:
        try:
            return self.answer_arrays(arguments)
        except (ValueError, LookupError) as error:
            if not is_matrix or arguments[0].dtype != self.dtype:
                raise
            name = self.parameters[0]
            raise ValueError(
                f"{error} (it was given one matrix of {self.dtype}; where it reads integers, such as token ids, give "
                f'X={{"{name}": an array of integers}})'
            ) from error

    def answer_arrays(self, arguments: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """What the network answers to rows given as its arguments."""
        import torch

        tensors = [torch.from_numpy(np.ascontiguousarray(values)) for values in arguments]
        try:
            with torch.no_grad():
                found = self.call(tensors)
        except RuntimeError as error:
            # torch raises it for shapes and types that do not fit, which others call a ValueError.
            raise ValueError(str(error)) from error
        if not isinstance(found, torch.Tensor):
            raise self.refuse(
                f"it answers with a {type(found).__name__}, and a bundle answers with one array",
                "Wrap it in a module whose forward returns one tensor",
            )
        if found.ndim == 0 or len(found) != len(tensors[0]):
            raise self.refuse(
                f"it answers {len(tensors[0])} rows with an array of sizes {list(found.shape)}",
                "Let forward answer each row by itself, rows first",
            )
        answered: NDArray[Any] = found.detach().cpu().numpy()
        return answered if answered.dtype.kind == "f" else answered.astype(np.float64)

    def _check_gaps(self, arguments: Sequence[NDArray[Any]], answers: NDArray[Any]) -> None:
        gaps = np.zeros(len(answers), dtype=np.bool_)
        for values in arguments:
            if values.dtype.kind == "f":
                gaps |= np.isnan(values.reshape(len(values), -1)).any(axis=1)
        if gaps.any() and np.isnan(answers[gaps]).any():
            raise ValueError("the network answers NaN where a value is missing")

    def export(self, examples: list[NDArray[Any]], is_open: Sequence[Sequence[int]]) -> onnx.ModelProto:
        """Its graph, from `examples` of its arguments `[2, ...]`; `is_open`: axes beside the rows that are open."""
        import torch

        call = self.call

        class Called(torch.nn.Module):
            def __init__(self, module: Any) -> None:
                super().__init__()
                self.module = module

            def forward(self, *arguments: Any) -> Any:
                return call(list(arguments))

        dynamic = torch.export.Dim.DYNAMIC
        shapes = tuple(dict.fromkeys((0, *axes), dynamic) for axes in is_open)
        tensors = tuple(torch.from_numpy(example) for example in examples)
        wrapper = Called(self.module)
        wrapper.train(mode=self.module.training)
        try:
            with _silent(), torch.no_grad(), self.traced():
                program = torch.onnx.export(
                    wrapper,
                    tensors,
                    dynamo=True,
                    dynamic_shapes={"arguments": shapes},
                    opset_version=OPSET,
                    external_data=False,
                    verbose=False,
                )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
            raise self.refuse(*_explain(error)) from error
        if program is None:
            raise AssertionError("the exporter returns a program where it is given no file")
        model: onnx.ModelProto = program.model_proto
        return model


def _explain(error: Exception) -> tuple[str, str]:
    causes = [str(error)]
    cause: BaseException | None = error.__cause__
    while cause is not None:
        causes.append(str(cause))
        cause = cause.__cause__
    text = next((line.strip() for line in causes[-1].splitlines() if line.strip()), type(error).__name__)
    if any("static shape" in cause or "specializ" in cause for cause in causes):
        return (
            "torch.export finds that it works for the sizes of the example alone, such as one length of sequences",
            "Give sequences of one length (padded, with fixed sizes in X), or write forward without loops over a size",
        )
    return (
        f"torch.onnx.export cannot export it: {text[:300]}",
        "Write forward with operations that torch.export traces",
    )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without the log of the exporter, which speaks of packages that nobody asked for and of each constant it keeps."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
