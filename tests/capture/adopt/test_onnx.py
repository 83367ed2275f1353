"""Bare ONNX files: their own answers under ONNX Runtime are what a bundle has to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

import afterfit
from afterfit.capture._adopt._allowed import AllowList
from afterfit.capture._adopt._sources import load_object
from afterfit.errors import AfterfitError, UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path

WINE, KIND = load_wine(return_X_y=True, as_frame=True)
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
DRAW = np.random.default_rng(0)
WIDTH = WINE.shape[1]


def tensor(name: str, value: Any, dtype: Any = np.float32) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.asarray(value, dtype=dtype), name)


def model(nodes, inputs, outputs, weights=(), opset=21, **options) -> onnx.ModelProto:
    graph = make_graph(nodes, "g", inputs, outputs, list(weights))
    opsets = [make_opsetid("", opset), make_opsetid("ai.onnx.ml", 3)]
    return make_model(graph, opset_imports=opsets, ir_version=9, **options)


def network(opset: int = 21) -> onnx.ModelProto:
    """Two layers and a softmax, as torch exports them."""
    weights = [tensor("W", DRAW.normal(size=(WIDTH, 8)) / 30), tensor("V", DRAW.normal(size=(8, 3)))]
    nodes = [
        make_node("MatMul", ["rows", "W"], ["hidden"]),
        make_node("Relu", ["hidden"], ["positive"]),
        make_node("MatMul", ["positive", "V"], ["raw"]),
        make_node("Softmax", ["raw"], ["answer"], axis=1),
    ]
    taken = [make_tensor_value_info("rows", FLOAT, ["batch", WIDTH])]
    return model(nodes, taken, [make_tensor_value_info("answer", FLOAT, ["batch", 3])], weights, opset)


def classifier(labels: Any, *, zipped: bool, transform: str = "SOFTMAX") -> onnx.ModelProto:
    """A scaler and a linear classifier, as skl2onnx writes them."""
    named = {"classlabels_strings" if isinstance(labels[0], str) else "classlabels_ints": labels}
    mapped = {"classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s": labels}
    nodes = [
        make_node(
            "Scaler",
            ["X"],
            ["scaled"],
            domain="ai.onnx.ml",
            offset=WINE.mean().tolist(),
            scale=(1 / WINE.std()).tolist(),
        ),
        make_node(
            "LinearClassifier",
            ["scaled"],
            ["label", "table"],
            domain="ai.onnx.ml",
            coefficients=DRAW.normal(size=len(labels) * WIDTH).tolist(),
            intercepts=DRAW.normal(size=len(labels)).tolist(),
            multi_class=1,
            post_transform=transform,
            **named,
        ),
        make_node("Normalizer", ["table"], ["normal"], domain="ai.onnx.ml", norm="L1"),
    ]
    element = STRING if isinstance(labels[0], str) else INT64
    label = make_tensor_value_info("label", element, [None])
    table = make_tensor_value_info("normal", FLOAT, [None, len(labels)])
    if zipped:
        nodes.append(make_node("ZipMap", ["normal"], ["maps"], domain="ai.onnx.ml", **mapped))
        key = onnx.helper.make_tensor_type_proto(FLOAT, [])
        kind = onnx.helper.make_sequence_type_proto(onnx.helper.make_map_type_proto(element, key))
        table = onnx.helper.make_value_info("maps", kind)
    return model(nodes, [make_tensor_value_info("X", FLOAT, [None, WIDTH])], [label, table])


LEQ, GTE, LEAF = "BRANCH_LEQ", "BRANCH_GTE", "LEAF"


def trees(classes: Any, **changes: Any) -> onnx.ModelProto:
    """Three trees, one of them a single leaf, as skl2onnx writes them; of a regressor without `classes`."""
    nodes: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1, 2],
        "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2, 0],
        "nodes_featureids": [0, 6, 0, 0, 0, 12, 0, 0, 0],
        "nodes_modes": [LEQ, GTE, LEAF, LEAF, LEAF, LEQ, LEAF, LEAF, LEAF],
        "nodes_values": [13.05, 2.1, 0.0, 0.0, 0.0, 755.0, 0.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 2, 0, 0, 0, 1, 0, 0, 0],
        "nodes_falsenodeids": [4, 3, 0, 0, 0, 2, 0, 0, 0],
        "nodes_missing_value_tracks_true": [0, 1, 0, 0, 0, 0, 0, 0, 0],
    }
    leaves = [(0, 2, 0.2), (0, 3, 0.3), (0, 4, 0.1), (1, 1, 0.25), (1, 2, 0.3), (2, 0, 0.1)]
    kind = "class" if classes else "target"
    each = [(leaf, number % 3 if classes and len(classes) > 2 else 0) for number, leaf in enumerate(leaves)]
    if classes and len(classes) > 2:
        each += [(leaf, (target + 1) % 3) for leaf, target in each]
    given = nodes | {
        f"{kind}_treeids": [leaf[0] for leaf, _ in each],
        f"{kind}_nodeids": [leaf[1] for leaf, _ in each],
        f"{kind}_weights": [leaf[2] for leaf, _ in each],
        f"{kind}_ids": [target for _, target in each],
    }
    taken = [make_tensor_value_info("X", FLOAT, [None, WIDTH])]
    if not classes:
        given = {"n_targets": 1, "base_values": [0.5]} | given | changes
        node = make_node("TreeEnsembleRegressor", ["X"], ["answer"], domain="ai.onnx.ml", **given)
        return model([node], taken, [make_tensor_value_info("answer", FLOAT, [None, 1])])
    named = "classlabels_strings" if isinstance(classes[0], str) else "classlabels_int64s"
    given = given | {named: classes} | changes
    node = make_node("TreeEnsembleClassifier", ["X"], ["label", "table"], domain="ai.onnx.ml", **given)
    label = make_tensor_value_info("label", STRING if isinstance(classes[0], str) else INT64, [None])
    table = make_tensor_value_info("table", FLOAT, [None, len(classes)])
    return model([node], taken, [label, table])


def named_columns() -> onnx.ModelProto:
    """An input for each column, one of them text, named as converters name columns."""
    nodes = [
        make_node(
            "LabelEncoder",
            ["kind"],
            ["code"],
            domain="ai.onnx.ml",
            keys_strings=["a", "b"],
            values_floats=[1.0, 2.0],
            default_float=-1.0,
        ),
        make_node("Cast", ["rooms"], ["counted"], to=FLOAT),
        make_node("Concat", ["code", "Age__years_", "counted"], ["all"], axis=1),
        make_node("MatMul", ["all", "W"], ["answer"]),
    ]
    taken = [
        make_tensor_value_info("kind", STRING, [None, 1]),
        make_tensor_value_info("Age__years_", FLOAT, [None, 1]),
        make_tensor_value_info("rooms", INT64, [None, 1]),
    ]
    weights = [tensor("W", [[3.0], [0.5], [2.0]])]
    return model(nodes, taken, [make_tensor_value_info("answer", FLOAT, [None, 1])], weights)


HOUSES = pd.DataFrame(
    {
        "rooms": [3, 4, 5, 2] * 5,
        "Age (years)": DRAW.uniform(0, 90, 20).round(1),
        "note": ["x"] * 20,
        "kind": ["a", "b", "c", "a"] * 5,
    }
)


def adopted(graph: onnx.ModelProto, folder: Path, X: Any = WINE, **options: Any) -> afterfit.runtime.Model:
    path = folder / "model.onnx"
    path.write_bytes(graph.SerializeToString())
    held, _ = load_object(path, None, AllowList(path.name))
    return afterfit.save(held, folder / "model.afit", X=X, raw_inputs=True, **options)


def answers(graph: onnx.ModelProto, **given: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    return session.run(None, given or {session.get_inputs()[0].name: WINE.to_numpy(np.float32)})


@pytest.mark.parametrize("opset", [13, 17, 21, 22])
def test_a_network(opset: int, tmp_path: Path):
    graph = network(opset)
    saved = adopted(graph, tmp_path)
    np.testing.assert_allclose(saved.predict(WINE), answers(graph)[0], rtol=0, atol=1e-6)
    assert saved.report.precision == "float32"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("labels", [[0, 1, 2], ["red", "white", "rosé"]])
@pytest.mark.parametrize("transform", ["SOFTMAX", "LOGISTIC", "NONE"])
def test_a_classifier(labels: list[Any], transform: str, tmp_path: Path, *, zipped: bool):
    graph = classifier(labels, zipped=zipped, transform=transform)
    saved = adopted(graph, tmp_path)
    label, table = answers(graph)
    if zipped:
        table = [[row[name] for name in labels] for row in table]
    assert saved.predict(WINE).tolist() == list(label)
    assert saved.classes is not None
    assert saved.classes.tolist() == labels
    np.testing.assert_allclose(saved.predict_proba(WINE), table, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{}, {"aggregate_function": "AVERAGE"}, {"nodes_modes": [LEQ, LEQ, *[LEAF] * 3, GTE, *[LEAF] * 3]}],
    ids=["sum", "mean", "other comparisons"],
)
def test_a_regressor_of_trees(changes: Any, tmp_path: Path):
    graph = trees(None, **changes)
    X = WINE.mask(DRAW.random(WINE.shape) < 0.05)
    saved = adopted(graph, tmp_path, X)
    [expected] = answers(graph, X=X.to_numpy(np.float32))
    np.testing.assert_allclose(saved.predict(X), expected, rtol=1e-6)
    assert len(np.unique(expected)) >= 4


@pytest.mark.parametrize("classes", [[0, 1], ["no", "yes"], [3, 5, 8]])
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_classifier_of_trees(classes: Any, transform: str, sign: float, tmp_path: Path):
    weights = [sign ** (number % 2) * weight for number, weight in enumerate([0.2, 0.3, 0.1, 0.25, 0.3, 0.1])]
    graph = trees(classes, post_transform=transform, class_weights=weights * (2 if len(classes) > 2 else 1))
    label, table = answers(graph)
    saved = adopted(graph, tmp_path)
    assert saved.predict(WINE).tolist() == list(label)
    np.testing.assert_allclose(saved.predict_proba(WINE), table, rtol=0, atol=1e-6)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_trees_with_a_sum_for_each_of_two_classes(transform: str, tmp_path: Path):
    leaves = {
        "class_treeids": [0, 0, 0, 0, 0, 0, 1, 1],
        "class_nodeids": [2, 2, 3, 3, 4, 4, 1, 2],
        "class_weights": [0.2, -0.2, -0.3, 0.3, 0.1, -0.1, -0.25, 0.5],
        "class_ids": [0, 1, 0, 1, 0, 1, 1, 1],
    }
    graph = trees(["no", "yes"], post_transform=transform, **leaves)
    label, table = answers(graph)
    saved = adopted(graph, tmp_path)
    assert saved.predict(WINE).tolist() == list(label)
    assert set(label) == {"no", "yes"}
    np.testing.assert_allclose(saved.predict_proba(WINE), table, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["classes", "two classes", "numbers"])
def test_what_catboost_writes(kind: str, tmp_path: Path):
    catboost = pytest.importorskip("catboost", reason="an extra")
    target = {"classes": KIND, "two classes": (KIND > 0).astype(int), "numbers": WINE["proline"] / 100}[kind]
    make = catboost.CatBoostRegressor if kind == "numbers" else catboost.CatBoostClassifier
    fitted = make(n_estimators=5, verbose=0, allow_writing_files=False).fit(WINE.to_numpy(), target)
    fitted.save_model(str(tmp_path / "catboost.onnx"), format="onnx")
    saved = adopted(onnx.load(tmp_path / "catboost.onnx"), tmp_path)
    expected = fitted.predict(WINE.to_numpy()).ravel()
    np.testing.assert_allclose(saved.predict(WINE), expected, rtol=0 if kind != "numbers" else 1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"nodes_truenodeids": [1, 0, 0, 0, 0, 1, 0, 0, 0]},
        {"nodes_truenodeids": [1, 9, 0, 0, 0, 1, 0, 0, 0]},
        {"nodes_values": [1.0]},
        {"target_ids": [0, 0, 0, 0, 0, -1]},
        {"aggregate_function": "MIN"},
    ],
    ids=["a cycle", "no such child", "too few values", "a target below 0", "a minimum"],
)
def test_trees_that_have_no_such_form(changes: Any, tmp_path: Path):
    with pytest.raises(UnsupportedModelError, match="it needs TreeEnsembleRegressor"):
        adopted(trees(None, **changes), tmp_path)


def test_an_input_for_each_column(tmp_path: Path):
    graph = named_columns()
    saved = adopted(graph, tmp_path, HOUSES)
    [expected] = answers(
        graph,
        kind=HOUSES[["kind"]].to_numpy(object),
        Age__years_=HOUSES[["Age (years)"]].to_numpy(np.float32),
        rooms=HOUSES[["rooms"]].to_numpy(),
    )
    np.testing.assert_allclose(saved.predict(HOUSES), expected, rtol=1e-6)
    columns = {column.name: column for column in saved.schema.columns}
    assert columns["note"].input is None
    assert not columns["rooms"].nullable
    assert not columns["kind"].nullable


def test_the_command_takes_a_scaler_and_labels_too(tmp_path: Path):
    graph = network()
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    scaler = StandardScaler().fit(WINE)
    joblib.dump(scaler, tmp_path / "scaler.pkl")
    WINE.assign(target=KIND).to_csv(tmp_path / "rows.csv", index=False)
    saved = afterfit.adopt(
        tmp_path / "model.onnx",
        tmp_path / "model.afit",
        rows=tmp_path / "rows.csv",
        preprocess=tmp_path / "scaler.pkl",
    )
    [expected] = answers(graph, rows=scaler.transform(WINE).astype(np.float32))
    np.testing.assert_allclose(saved.predict(WINE), expected, rtol=0, atol=1e-6)


def outside() -> onnx.ModelProto:
    graph = network()
    weight = graph.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")
    return graph


def strange() -> onnx.ModelProto:
    graph = network()
    graph.graph.node[1].domain = "com.microsoft"
    graph.opset_import.append(make_opsetid("com.microsoft", 1))
    return graph


def forest() -> onnx.ModelProto:
    graph = network()
    graph.graph.node[1].CopyFrom(make_node("SVMRegressor", ["hidden"], ["positive"], domain="ai.onnx.ml"))
    return graph


def two_answers() -> onnx.ModelProto:
    graph = network()
    graph.graph.output.append(make_tensor_value_info("raw", FLOAT, ["batch", 3]))
    return graph


def one_row() -> onnx.ModelProto:
    graph = network()
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return graph


def unnamed_classes() -> onnx.ModelProto:
    graph = network()
    graph.graph.node.append(make_node("ArgMax", ["answer"], ["label"], axis=1, keepdims=0))
    graph.graph.output.insert(0, make_tensor_value_info("label", INT64, ["batch"]))
    return graph


@pytest.mark.parametrize(
    ("build", "X", "reason"),
    [
        (outside, WINE, "numbers in another file"),
        (strange, WINE, "Relu of com.microsoft"),
        (forest, WINE, "it needs SVMRegressor"),
        (two_answers, WINE, r"answer \(numbers\), raw \(numbers\)"),
        (one_row, WINE, "one row at a time"),
        (unnamed_classes, WINE, "does not say of which classes"),
        (network, WINE.iloc[:, 1:], "has 13 columns, and the rows have 12"),
        (named_columns, HOUSES.drop(columns="kind"), "inputs kind are no columns"),
        (named_columns, HOUSES.assign(rooms=HOUSES["rooms"] + 0.5), "takes whole numbers"),
        (named_columns, HOUSES.assign(kind=1.0), "takes text"),
    ],
)
def test_what_is_refused(build: Any, X: Any, reason: str, tmp_path: Path):
    with pytest.raises(AfterfitError, match=reason):
        adopted(build(), tmp_path, X)
    assert not (tmp_path / "model.afit").exists()


def test_what_is_no_graph_is_refused(tmp_path: Path):
    for content in (b"", b"\x08\x0a", b"not a graph", network().SerializeToString()[:-40]):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(UnsupportedModelError, match="no sound ONNX file"):
            load_object(tmp_path / "model.onnx", None, AllowList("model.onnx"))
