"""The operators a bundle's graph may use.

Stateless and deterministic tensor operators alone: none reads a file, draws random numbers, or calls code
that ONNX Runtime does not ship. `Loop` and `SequenceMap` are left out because nothing in the file bounds how
long they run; `If` and `Scan` may carry a body. Of `ai.onnx.ml`, only operators that are exact in float64 are
in, and of its tree operators the one whose trees `audit_trees` can audit.
"""

from __future__ import annotations

ONNX = ""
ONNX_ML = "ai.onnx.ml"

DOMAIN_ALIASES = {"ai.onnx": ONNX}

OPSETS = {ONNX: range(13, 22), ONNX_ML: range(1, 6)}
"""The versions of each domain that a graph may ask for."""

IR_VERSIONS = range(4, 11)
"""From the first in which an initializer need not be an input, to that of opset 21."""

WITH_BODY = frozenset({"If", "Scan"})

_ARITHMETIC = """
    Abs Add Ceil Clip CumSum Det Div Einsum Exp Floor Gemm Log MatMul Max Mean Min Mod Mul Neg Pow Reciprocal
    Round Sign Sqrt Sub Sum
    Acos Acosh Asin Asinh Atan Atanh Cos Cosh Erf Sin Sinh Tan Tanh
    ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare
"""
_LOGIC = """
    And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Where Xor
    BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
"""
_SHAPE = """
    Cast CastLike Compress Concat Constant ConstantOfShape DepthToSpace Expand EyeLike Flatten Gather
    GatherElements GatherND Identity NonZero OneHot Pad Range Reshape ReverseSequence ScatterElements
    ScatterND Shape Size Slice SpaceToDepth Split Squeeze Tile TopK Transpose Trilu Unique Unsqueeze
    CenterCropPad ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
    SequenceLength SplitToSequence
"""
_TEXT = "RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer"
_NETWORK = """
    AffineGrid AveragePool BatchNormalization Celu Col2Im Conv ConvTranspose Elu GRU Gelu GlobalAveragePool
    GlobalLpPool GlobalMaxPool GridSample GroupNormalization HardSigmoid HardSwish Hardmax
    InstanceNormalization LRN LSTM LayerNormalization LeakyRelu LogSoftmax LpNormalization LpPool MaxPool
    MeanVarianceNormalization Mish PRelu RNN Relu Resize Selu Shrink Sigmoid Softmax Softplus Softsign
    ThresholdedRelu
    BlackmanWindow DFT HammingWindow HannWindow MelWeightMatrix STFT
    ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul QuantizeLinear
"""
_ML = "ArrayFeatureExtractor LabelEncoder TreeEnsemble"

OPERATORS = {
    ONNX: frozenset(f"{_ARITHMETIC} {_LOGIC} {_SHAPE} {_TEXT} {_NETWORK}".split()) | WITH_BODY,
    ONNX_ML: frozenset(_ML.split()),
}
