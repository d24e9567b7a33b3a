"""Batch norm merged into the layer before it, and a normalisation into the layer after it."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from snnquant.errors import InputError
from snnquant.nn.kinds import BATCH_NORMS, CONVOLUTIONS, SYNAPSES
from snnquant.nn.tracing import trace
from snnquant.quantization import freeze
from snnquant.quantization.quantized_norm import QuantizedNorm
from snnquant.sampling import Normalisation


def fold_batch_norm(cnn: nn.Module) -> nn.Module:
    """Copy a CNN and merge its batch norms into the layers right before them.

    With the running mean m and variance v, W' = W g / sqrt(v + eps) and
    b' = (b - m) g / sqrt(v + eps) + beta: the same function up to rounding.

    Args:
        cnn: The CNN; it is not changed.

    Returns:
        The copy in evaluation mode, with identities in the place of batch norms, so that its state
        dict is that of the network without them. A batch norm stays where no convolution or dense
        layer is right before it.

    Raises:
        InputError: Where the module cannot be traced.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from snnquant.conversion import fold_batch_norm
        >>> cnn = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
        >>> folded = fold_batch_norm(cnn)
        >>> list(folded.state_dict())
        ['0.weight', '0.bias']
        >>> x = torch.rand(2, 3, 5, 5)
        >>> bool(torch.allclose(folded(x), cnn(x), atol=1e-6))
        True
    """
    folded = copy.deepcopy(cnn).eval()
    fold_in_place(folded, trace(folded))
    return folded


@torch.no_grad()
def fold_in_place(module: nn.Module, graph: fx.Graph) -> dict[str, str]:
    """Fold all that can be; return the names of the folded batch norms with their synapses'.

    A batch norm stays where its synapse's output goes elsewhere too, where either runs twice, and
    where it has no running statistics.
    """
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    folded = {}
    for node in graph.nodes:
        if node.op != "call_module" or calls[node.target] > 1:
            continue
        before = node.args[0]
        norm: Any = module.get_submodule(node.target)
        if not isinstance(norm, BATCH_NORMS) or norm.running_mean is None:
            continue
        if before.op != "call_module" or calls[before.target] > 1 or len(before.users) > 1:
            continue
        synapse: Any = module.get_submodule(before.target)
        dense = isinstance(synapse, nn.Linear) and len(before.meta.get("shape", (0, 0))) == 2
        if not (dense or isinstance(synapse, CONVOLUTIONS)):
            continue
        statistics: Any = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        if isinstance(norm, QuantizedNorm):  # what it computes with
            scale, shift = norm.affine_form()
            statistics = torch.zeros_like(shift), torch.ones_like(scale), 0.0, scale, shift
        synapse.weight, synapse.bias = fuse_conv_bn_weights(
            synapse.weight, synapse.bias, *statistics
        )
        module.set_submodule(node.target, nn.Identity())
        folded[node.target] = before.target
    return folded


@torch.no_grad()
def fold_front_end(
    network: nn.Module, normalisation: Normalisation, scores: Normalisation | None = None
) -> nn.Module:
    """Copy a network and merge the normalisation of its input into its first kernel.

    With weights W [F, K] over all K values of a position, mean m, standard deviation s and matrix
    M, W' = W M^T / s and b' = b - W' m: the same function up to rounding.

    Args:
        network: A CNN or SNN whose first layer with weights is a 3-D kernel of all bands times 1x1,
            such as cnn1x1's; it is not changed.
        normalisation: Its normalisation; a grid of its values is left out.
        scores: Normalisation without a matrix whose values the copy takes, of the same forms of the
            spectrum; by default it takes these forms themselves.

    Returns:
        The copy in evaluation mode, for patches of scores or of forms of the spectrum as
        `snnquant.sampling.spectra.prepare` returns them: of raw spectra the sensor's own values.
        Its first layer has plain weights, quantized ones of others stay quantized.

    Raises:
        InputError: Where the first kernel does not span all bands and one position, and where the
            copy would take unscaled values but the network takes those of a grid.

    Example:
        >>> import numpy as np
        >>> cnn = nn.Sequential(nn.Conv3d(1, 3, (4, 1, 1)), nn.ReLU(), nn.Flatten()).eval()
        >>> statistics = Normalisation(np.full(4, 2.0, "f4"), np.full(4, 5.0, "f4"))
        >>> x = torch.rand(2, 1, 4, 1, 1)
        >>> bool(torch.allclose(fold_front_end(cnn, statistics)(x), cnn((x - 2) / 5), atol=1e-6))
        True
    """
    if scores is None and normalisation.grid is not None:
        found = f"found pixels of {normalisation.bits} bits after the normalisation"
        raise InputError(f"--pixel-bits: {found}, expected 32: it cannot be folded through them")
    folded = copy.deepcopy(network).eval()
    synapses = ((n, m) for n, m in folded.named_modules() if isinstance(m, SYNAPSES))
    name, first = next(synapses, ("", None))
    mean, std = (torch.from_numpy(v).double() for v in (normalisation.mean, normalisation.std))
    matrix = torch.eye(len(mean), dtype=torch.float64)
    if normalisation.components is not None:
        matrix = torch.from_numpy(normalisation.components).double()
    layer: Any = first
    if not isinstance(first, nn.Conv3d) or not _spans_all(first, matrix.shape[1]):
        found, bands = f"found {first} first", matrix.shape[1]
        raise InputError(f"layer {name}: {found}, expected kernels of {bands} bands times 1x1")
    freeze(layer)
    weight, bias = layer.weight, layer.bias
    new = weight.flatten(1).double() @ (matrix / std[:, None]).T
    shift = new @ mean
    if scores is not None:
        shift = shift - new @ torch.from_numpy(scores.mean).double()
        new = new * torch.from_numpy(scores.std).double()
    layer.weight = nn.Parameter(new[:, None, :, None, None].to(weight))
    layer.bias = nn.Parameter((-shift if bias is None else bias.double() - shift).to(weight))
    layer.kernel_size = (len(mean), 1, 1)
    return folded


def takes_front_end(network: nn.Module, normalisation: Normalisation) -> bool:
    """Tell whether a CNN's first kernel can take a matrix that mixes bands, and keep its shape.

    Args:
        network: The CNN.
        normalisation: Normalisation of its input.

    Example:
        >>> import numpy as np
        >>> one, mixing = np.ones(4, "f4"), np.ones((4, 4), "f4")
        >>> cnn = nn.Sequential(nn.Conv3d(1, 3, (4, 1, 1)), nn.ReLU(), nn.Flatten())
        >>> takes_front_end(cnn, Normalisation(one, one, mixing))
        True
        >>> takes_front_end(cnn, Normalisation(one, one))
        False
    """
    matrix = normalisation.components
    if matrix is None or matrix.shape[0] != matrix.shape[1]:
        return False
    first = next((m for m in network.modules() if isinstance(m, SYNAPSES)), None)
    return isinstance(first, nn.Conv3d) and _spans_all(first, len(matrix))


def _spans_all(layer: nn.Conv3d, bands: int) -> bool:
    """Tell whether a convolution's kernels take all bands of one position."""
    plain = not any(layer.padding) and layer.stride[1:] == (1, 1)
    return plain and layer.weight.shape[1:] == (1, bands, 1, 1)
