"""Op types that a forward pass is made of, and nothing that reaches out of the graph.

A stored graph may hold any op: ones that read and write files, call Python, print, or talk to
other machines (https://github.com/tensorflow/tensorflow/blob/master/SECURITY.md: models are
programs). A measured check runs these only. Variables are ops of the session alone.
"""

from __future__ import annotations

_MATHEMATICS = """
Abs Acos Acosh Add AddN AddV2 All Any ArgMax ArgMin Asin Asinh Atan Atan2 Atanh BatchMatMul
BatchMatMulV2 BatchMatMulV3 BesselI0e BesselI1e Betainc Bincount Cast Ceil ClipByValue Complex
ComplexAbs Conj Cos Cosh Cross Cumprod Cumsum Digamma Div DivNoNan Einsum Equal Erf Erfc Erfinv
EuclideanNorm Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual Igamma Igammac Imag Inv
IsFinite IsInf IsNan L2Loss Less LessEqual Lgamma LinSpace Log Log1p LogicalAnd LogicalNot
LogicalOr MatMul Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg NotEqual Polygamma Pow
Prod Range Real RealDiv Reciprocal Rint Round Rsqrt SegmentMax SegmentMean SegmentMin SegmentProd
SegmentSum Sigmoid Sign Sin Sinh SparseMatMul SparseSegmentMean SparseSegmentSqrtN
SparseSegmentSum Sqrt Square SquaredDifference Sub Sum Tan Tanh TruncateDiv TruncateMod
UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum Xdivy Xlog1py Xlogy
Zeta FFT FFT2D FFT3D IFFT IFFT2D IFFT3D IRFFT IRFFT2D RFFT RFFT2D
Cholesky MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV2
MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixInverse MatrixSetDiag MatrixSetDiagV2
MatrixSetDiagV3 MatrixSolve MatrixTriangularSolve Qr SelfAdjointEigV2 Svd
"""
_NETWORKS = """
AvgPool AvgPool3D BatchNormWithGlobalNormalization BiasAdd BiasAddV1 BlockLSTM BlockLSTMV2 Conv2D
Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropInputV2 CropAndResize
DataFormatDimMap DataFormatVecPermute DepthToSpace DepthwiseConv2dNative Dilation2D Elu
ExtractImagePatches FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
FakeQuantWithMinMaxVarsPerChannel FractionalAvgPool FractionalMaxPool FusedBatchNorm
FusedBatchNormV2 FusedBatchNormV3 GRUBlockCell InTopK InTopKV2 LRN LSTMBlockCell LeakyRelu
LogSoftmax MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax NonMaxSuppression NonMaxSuppressionV2
NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NthElement Relu Relu6 Selu Softmax
SoftmaxCrossEntropyWithLogits Softplus Softsign SpaceToBatch SpaceToBatchND SpaceToDepth
SparseSoftmaxCrossEntropyWithLogits BatchToSpace BatchToSpaceND TopK TopKV2
AdjustContrastv2 AdjustHue AdjustSaturation HSVToRGB ImageProjectiveTransformV2
ImageProjectiveTransformV3 RGBToHSV ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
ScaleAndTranslate
"""
_ARRAYS = """
Bitcast BroadcastArgs BroadcastTo CheckNumerics Concat ConcatOffset ConcatV2 Const Diag DiagPart
DynamicPartition DynamicStitch Empty EnsureShape ExpandDims Fill Gather GatherNd GatherV2 Identity
IdentityN InvertPermutation ListDiff LowerBound MirrorPad OneHot OnesLike Pack Pad PadV2
ParallelDynamicStitch Placeholder PlaceholderV2 PlaceholderWithDefault PreventGradient Rank
Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd Select SelectV2 Shape ShapeN Size Slice
Snapshot Split SplitV Squeeze StopGradient StridedSlice TensorScatterAdd TensorScatterSub
TensorScatterUpdate Tile Transpose Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack
UnravelIndex UpperBound Where ZerosLike SparseAdd SparseConcat SparseFillEmptyRows SparseReorder
SparseReshape SparseSlice SparseSoftmax SparseSplit SparseTensorDenseAdd SparseTensorDenseMatMul
SparseToDense
"""
_RANDOM = """
Multinomial ParameterizedTruncatedNormal RandomGamma RandomPoissonV2 RandomShuffle
RandomStandardNormal RandomUniform RandomUniformInt StatelessMultinomial StatelessRandomGetAlg
StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformFullInt
StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2
StatelessTruncatedNormal StatelessTruncatedNormalV2 TruncatedNormal
"""
# Function bodies are checked like the main graph.
_CONTROL_FLOW = """
Assert Case ControlTrigger Enter Exit If LoopCond Merge NextIteration NoOp PartitionedCall
RefEnter RefExit RefIdentity RefMerge RefNextIteration RefSelect RefSwitch StatefulPartitionedCall
StatelessCase StatelessIf StatelessWhile Switch While _Arg _Retval
EmptyTensorList TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3
TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3 TensorListConcatV2
TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem TensorListLength
TensorListPopBack TensorListPushBack TensorListReserve TensorListResize TensorListSetItem
TensorListSplit TensorListStack
"""
_VARIABLES = """
Assign AssignAdd AssignAddVariableOp AssignSub AssignSubVariableOp AssignVariableOp
IsVariableInitialized ReadVariableOp ResourceGather ResourceGatherNd VarHandleOp
VarIsInitializedOp Variable VariableShape VariableV2
"""

FORWARD_OPS = frozenset(
    " ".join([_MATHEMATICS, _NETWORKS, _ARRAYS, _RANDOM, _CONTROL_FLOW, _VARIABLES]).split()
)
