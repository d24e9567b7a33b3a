"""Reasons why an operation has no spiking form, each with what to do about it."""

from __future__ import annotations

from torch import fx, nn

from snnquant.nn.tracing import BATCH

RETRAIN = "expected ReLU: put nn.ReLU in its place and train on for some epochs"
WITH_INDICES = tuple(f"max_pool{axes}d_with_indices" for axes in (1, 2, 3))
HINTS = {
    ("leakyrelu", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "mish"): (
        f", whose negative values no spike can carry, {RETRAIN}"
    ),
    ("silu", "hardswish", "sigmoid", "hardsigmoid", "tanh", "softplus", "exp", "hardtanh"): (
        f", which is no ReLU from 0 up, {RETRAIN}"
    ),
    ("clamp", "clip", "clamp_min"): f", which is no ReLU from 0 up, {RETRAIN}",
    ("mul", "imul", "bmm", "matmul", "einsum", "multiheadattention", "div", "truediv"): (
        " as a product of two activations (squeeze-and-excitation, attention, gates), which no sum "
        "of spikes computes, expected a network without it: leave the branch out and train on"
    ),
    ("add", "iadd", "sub", "isub"): (
        " with a number or a parameter, expected the sum of two activations: put a constant into "
        "the bias of the layer before"
    ),
    ("softmax", "log_softmax", "logsoftmax"): (
        " before the output, expected it only at the very end, where it is dropped"
    ),
    ("layernorm", "groupnorm", "instancenorm1d", "instancenorm2d", "instancenorm3d"): (
        ", whose statistics follow each input, expected BatchNorm, whose statistics stay and fold "
        "into the weights"
    ),
    ("batchnorm1d", "batchnorm2d", "batchnorm3d"): (
        " that no weights take in, expected running statistics, and a convolution or dense layer "
        "right before it"
    ),
    ("conv1d", "conv2d", "conv3d", "linear", "batch_norm", "parameter"): (
        " outside a module with plain weights, expected one (nn.Conv2d, nn.Linear, ...); bake "
        "parametrized weights in first (torch.nn.utils.parametrize.remove_parametrizations)"
    ),
    ("lstm", "gru", "rnn"): (
        ", which is recurrent, expected a feed-forward network: convolve along the spectrum"
    ),
    ("getitem", "chunk", "split", "select", "narrow"): (
        " that takes a part of a tensor, expected whole tensors: take the part before the network, "
        "or with a convolution"
    ),
    ("maxpool1d", "maxpool2d", "maxpool3d", *WITH_INDICES): (
        " that returns indices, expected return_indices=False"
    ),
}
OTHERWISE = (
    "expected convolutions, dense layers, batch norm, ReLU, pooling, dropout, changes of shape, "
    "sums and concatenations"
)

BATCH_AXIS = ("permute", "transpose", "swapaxes", "swapdims", "mean", "cat", "concat")
"""Operations that have a module except where they touch the batch."""


def hint(node: fx.Node, layer: nn.Module | None, found: str) -> str:
    """Say what was found and expected of an operation that has no spiking form."""
    shape = node.meta.get("shape", (BATCH,))
    moves = shape[:1] != (BATCH,) and node.op != "get_attr"
    if moves or (layer is None and found in BATCH_AXIS):
        return (
            f"found {found} that moves or reduces the first axis, the batch (a shape {shape} for "
            f"{BATCH} samples), expected it to stay the first"
        )
    kind = found.lower().removeprefix("parametrized")
    for kinds, reason in HINTS.items():
        if kind in kinds:
            return f"found {found}{reason}"
    return f"found {found}, {OTHERWISE}"
