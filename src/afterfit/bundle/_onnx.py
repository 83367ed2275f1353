"""The messages of an ONNX file that a bundle may use, and their fields; anything else is refused.

Numbers and names are those of `onnx.proto`. Left out on purpose, because no operator that bundles may use
needs them: sparse tensors, lists of tensors, graphs or types as attributes, types other than tensors and
sequences, segments, references to attributes of functions, overloads, quantization and device annotations.
"""

from __future__ import annotations

from afterfit.bundle._protobuf import BYTES, FIXED32, FIXED64, VARINT, message

MODEL = message(
    "ModelProto",
    ir_version=(1, VARINT),
    producer_name=(2, BYTES, "~"),
    producer_version=(3, BYTES, "~"),
    domain=(4, BYTES, "~"),
    model_version=(5, VARINT, "-"),
    doc_string=(6, BYTES, "~"),
    graph=(7, BYTES),
    opset_import=(8, BYTES, "*"),
    metadata_props=(14, BYTES, "*"),
    training_info=(20, BYTES, "*"),
    functions=(25, BYTES, "*"),
)
OPSET = message("OperatorSetIdProto", domain=(1, BYTES), version=(2, VARINT))
GRAPH = message(
    "GraphProto",
    node=(1, BYTES, "*"),
    name=(2, BYTES, "~"),
    initializer=(5, BYTES, "*"),
    doc_string=(10, BYTES, "~"),
    input=(11, BYTES, "*"),
    output=(12, BYTES, "*"),
    value_info=(13, BYTES, "*"),
    metadata_props=(16, BYTES, "*-"),
)
NODE = message(
    "NodeProto",
    input=(1, BYTES, "*~"),
    output=(2, BYTES, "*~"),
    name=(3, BYTES, "~"),
    op_type=(4, BYTES),
    attribute=(5, BYTES, "*"),
    doc_string=(6, BYTES, "~"),
    domain=(7, BYTES),
    metadata_props=(9, BYTES, "*-"),
)
NAMED_NODE = message(
    "NodeProto",
    input=(1, BYTES, "*"),
    output=(2, BYTES, "*"),
    name=(3, BYTES, "~"),
    op_type=(4, BYTES),
    attribute=(5, BYTES, "*"),
    doc_string=(6, BYTES, "~"),
    domain=(7, BYTES),
    metadata_props=(9, BYTES, "*-"),
)
ATTRIBUTE = message(
    "AttributeProto",
    name=(1, BYTES, "~"),
    f=(2, FIXED32, "-"),
    i=(3, VARINT, "-"),
    s=(4, BYTES, "~"),
    t=(5, BYTES),
    g=(6, BYTES),
    floats=(7, FIXED32, "#"),
    ints=(8, VARINT, "#"),
    strings=(9, BYTES, "*~"),
    doc_string=(13, BYTES, "~"),
    type=(20, VARINT, "-"),
)
TREE_ATTRIBUTE = message(
    "AttributeProto",
    name=(1, BYTES),
    i=(3, VARINT),
    t=(5, BYTES),
    ints=(8, VARINT, "+"),
    doc_string=(13, BYTES, "~"),
    type=(20, VARINT, "-"),
)
TENSOR = message(
    "TensorProto",
    dims=(1, VARINT, "#"),
    data_type=(2, VARINT, "-"),
    float_data=(4, FIXED32, "#"),
    int32_data=(5, VARINT, "#"),
    string_data=(6, BYTES, "*~"),
    int64_data=(7, VARINT, "#"),
    name=(8, BYTES),
    raw_data=(9, BYTES, "-"),
    double_data=(10, FIXED64, "#"),
    uint64_data=(11, VARINT, "#"),
    doc_string=(12, BYTES, "~"),
    external_data=(13, BYTES, "*"),
    data_location=(14, VARINT),
    metadata_props=(16, BYTES, "*-"),
)
VALUE_INFO = message(
    "ValueInfoProto",
    name=(1, BYTES),
    type=(2, BYTES),
    doc_string=(3, BYTES, "~"),
    metadata_props=(4, BYTES, "*-"),
)
TYPE = message("TypeProto", tensor_type=(1, BYTES), sequence_type=(4, BYTES), denotation=(6, BYTES, "~"))
SEQUENCE_TYPE = message("TypeProto.Sequence", elem_type=(1, BYTES))
TENSOR_TYPE = message("TypeProto.Tensor", elem_type=(1, VARINT), shape=(2, BYTES))
SHAPE = message("TensorShapeProto", dim=(1, BYTES, "*"))
RAW_TENSOR = message(
    "TensorProto",
    dims=(1, VARINT, "#"),
    data_type=(2, VARINT),
    name=(8, BYTES, "~"),
    raw_data=(9, BYTES),
    doc_string=(12, BYTES, "~"),
    metadata_props=(16, BYTES, "*-"),
)
DIMENSION = message(
    "TensorShapeProto.Dimension", dim_value=(1, VARINT), dim_param=(2, BYTES, "~"), denotation=(3, BYTES, "~")
)
