"""Labels of a network: a fitted encoder of the targets, given as `postprocess`, says which class each number is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering import Classification, constant, public_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from afterfit.lowering import Context, Regression


def classes_of(postprocess: Any) -> NDArray[Any] | None:
    """The classes of a `LabelEncoder`, a `LabelBinarizer` or a `OneHotEncoder` of one column; None of others."""
    name = public_name(postprocess)
    if name in {"sklearn.preprocessing.LabelEncoder", "sklearn.preprocessing.LabelBinarizer"}:
        return np.asarray(postprocess.classes_)
    if name == "sklearn.preprocessing.OneHotEncoder" and len(postprocess.categories_) == 1:
        return np.asarray(postprocess.categories_[0]) if postprocess.drop_idx_ is None else None
    return None


def answer_in_memory(name: str, values: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """The output called `name`, from the numbers that the model answers."""
    if name == "prediction":
        return labels_in_memory(values, classes)
    return probabilities_in_memory(values) if name == "probabilities" else scores_in_memory(values)


def labels_in_memory(values: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """The label `[N]` of each row: of the largest number, or whether the only one is above one half."""
    table = values.reshape(len(values), -1)
    index = (table[:, 0] > 0.5).astype(np.int64) if table.shape[1] == 1 else table.argmax(axis=1)
    return np.asarray(classes[index])


def probabilities_in_memory(values: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities `[N, k]`; of the only number and what is left to 1."""
    table = values.reshape(len(values), -1).astype(np.float64)
    return np.hstack([1.0 - table, table]) if table.shape[1] == 1 else table


def scores_in_memory(values: NDArray[Any]) -> NDArray[np.float64]:
    """Scores `[N, k]`, or by how much the second is larger `[N]` where there are two."""
    table = values.reshape(len(values), -1).astype(np.float64)
    return table[:, 1] - table[:, 0] if table.shape[1] == 2 else table


def lower_labels(
    lowered: Regression, postprocess: Any, classes: NDArray[Any], context: Context
) -> Classification:
    """The label of each row, and its probabilities where the network ends with Softmax or Sigmoid, else its scores."""
    width = lowered.sizes[0] if lowered.sizes else 1
    if len(lowered.sizes) > 1 or width not in {len(classes), 1} or (width == 1 and len(classes) != 2):
        raise context.refuse(
            postprocess,
            f"it knows {len(classes)} classes, and the model answers each row with {list(lowered.sizes)} numbers",
            "Let the model answer with one number for each class",
        )
    values = op.reshape(lowered.values, constant([-1, width], np.int64))
    if width == 1:
        if lowered.last_operator != "Sigmoid":
            raise context.refuse(
                postprocess,
                "the model answers with one number, which is no probability, since it does not end with a sigmoid",
                "End the model with a sigmoid",
            )
        column = op.reshape(values, constant([-1], np.int64))
        index = op.cast(op.greater(column, constant(0.5)), to=np.int64)
        both = op.concat([op.sub(constant(1.0), values), values], axis=1)
        return Classification(classes, index, probabilities=both)
    index = op.arg_max(values, axis=1, keepdims=0)
    if lowered.last_operator == "Softmax":
        return Classification(classes, index, probabilities=values)
    if width == 2:
        first, second = (op.gather(values, constant(i, np.int64), axis=1) for i in (0, 1))
        return Classification(classes, index, scores=op.sub(second, first))
    return Classification(classes, index, scores=values)
