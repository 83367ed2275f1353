"""Operators of `ai.onnx.ml` that compute in float32, written with the operators that bundles hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from afterfit.bundle import ONNX_ML
from afterfit.lowering.onnx._trees import tree_classifier, tree_regressor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Writer:
    """The nodes that take the place of one; their values are named after it."""

    def __init__(self, node: onnx.NodeProto, number: int) -> None:
        self.node = node
        self.nodes: list[onnx.NodeProto] = []
        self.given = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        self._stem = f"{node.op_type}_{number}"

    def attribute(self, name: str, default: Any) -> Any:
        value = self.given.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        tensor = onnx.numpy_helper.from_array(np.asarray(value, dtype=dtype))
        return self.add("Constant", [], value=tensor)

    def add(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        name = output or f"{self._stem}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def labels(self, classes: Sequence[Any], index: str, output: str) -> None:
        """The class at each `index` `[N]`, as the output called so."""
        if isinstance(classes[0], bytes):
            # Without NumPy's strings, which lose a NUL at their end.
            held = onnx.TensorProto(
                name="classes", data_type=onnx.TensorProto.STRING, dims=[len(classes)], string_data=classes
            )
            table = self.add("Constant", [], value=held)
        else:
            table = self.constant(classes, np.int64)
        self.add("Gather", [table, index], output)

    def floats(self) -> str:
        """The first input as float32."""
        return self.add("Cast", [self.node.input[0]], to=onnx.TensorProto.FLOAT)


def rewrite(model: onnx.ModelProto, labels: Sequence[Any]) -> None:
    """Replace in place what has another form; whatever is left is refused by its name.

    `labels`: the classes of the answer. A ZipMap gives its table of probabilities back, in the order of its labels.
    """
    nodes: list[onnx.NodeProto] = []
    for number, node in enumerate(model.graph.node):
        write = _WRITERS.get(node.op_type) if node.domain == ONNX_ML else None
        writer = Writer(node, number)
        nodes += writer.nodes if write is not None and write(writer) else [node]
        if node.op_type == "ZipMap":
            _state_table(model, node.output[0], len(labels))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _state_table(model: onnx.ModelProto, name: str, width: int) -> None:
    for value in model.graph.output:
        if value.name == name:
            value.CopyFrom(
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, width or None])
            )


def _zip_map(writer: Writer) -> bool:
    writer.add("Identity", [writer.node.input[0]], writer.node.output[0])
    return True


def _scaler(writer: Writer) -> bool:
    moved = writer.add("Sub", [writer.floats(), writer.constant(writer.attribute("offset", [0.0]))])
    writer.add("Mul", [moved, writer.constant(writer.attribute("scale", [1.0]))], writer.node.output[0])
    return True


def _normalizer(writer: Writer) -> bool:
    operators = {"MAX": "ReduceMax", "L1": "ReduceL1", "L2": "ReduceL2"}
    values, axis = writer.floats(), writer.constant([1], np.int64)
    attributes: dict[str, Any] = {"keepdims": 1}
    operator = operators[writer.attribute("norm", "MAX")]
    norm = writer.add(operator, [values, axis], **attributes)
    zero = writer.add("Equal", [norm, writer.constant(0.0)])
    safe = writer.add("Where", [zero, writer.constant(1.0), norm])
    writer.add("Div", [values, safe], writer.node.output[0])
    return True


def _feature_vectorizer(writer: Writer) -> bool:
    parts = [writer.add("Cast", [name], to=onnx.TensorProto.FLOAT) for name in writer.node.input]
    writer.add("Concat", parts, writer.node.output[0], axis=1)
    return True


def _linear_regressor(writer: Writer) -> bool:
    targets = writer.attribute("targets", 1)
    if writer.attribute("post_transform", "NONE") != "NONE":
        return False
    _scores(writer, targets, writer.node.output[0])
    return True


def _scores(writer: Writer, rows: int, output: str | None = None) -> str:
    """`X W^T + b`, float32 `[N, rows]`."""
    weights = np.reshape(writer.attribute("coefficients", []), (rows, -1)).T
    product = writer.add("MatMul", [writer.floats(), writer.constant(weights)])
    shift = writer.attribute("intercepts", None) or [0.0]
    return writer.add("Add", [product, writer.constant(shift)], output)


def _linear_classifier(writer: Writer) -> bool:
    """Of two rows of coefficients and more; a single row has rules of its own about signs."""
    classes = writer.attribute("classlabels_ints", []) or writer.attribute("classlabels_strings", [])
    rows = len(writer.attribute("intercepts", []))
    transform = writer.attribute("post_transform", "NONE")
    if rows < 2 or rows != len(classes) or transform not in ("NONE", "LOGISTIC", "SOFTMAX"):
        return False
    label, probabilities = writer.node.output
    if transform == "NONE":
        scores = _scores(writer, rows, probabilities)
    else:
        scores = _scores(writer, rows)
        if transform == "LOGISTIC":
            writer.add("Sigmoid", [scores], probabilities)
        else:
            writer.add("Softmax", [scores], probabilities, axis=1)
    index = writer.add("ArgMax", [scores], axis=1, keepdims=0)
    writer.labels(classes, index, label)
    return True


_WRITERS: dict[str, Callable[[Writer], bool]] = {
    "FeatureVectorizer": _feature_vectorizer,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "Normalizer": _normalizer,
    "Scaler": _scaler,
    "TreeEnsembleClassifier": tree_classifier,
    "TreeEnsembleRegressor": tree_regressor,
    "ZipMap": _zip_map,
}
"""What writes the nodes of each operator; False where it has no exact form with these attributes."""
