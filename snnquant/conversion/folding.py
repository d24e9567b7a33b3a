"""Batch norm merged into the convolution before it."""

from __future__ import annotations

import copy
from collections import OrderedDict

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def fold_batch_norm(cnn: nn.Sequential) -> nn.Sequential:
    """A copy, in evaluation mode, whose batch norms are part of the convolutions before them.

    With the running mean m and variance v, W' = W g / sqrt(v + eps) and
    b' = (b - m) g / sqrt(v + eps) + beta: the same function up to rounding.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    last = ""
    for name, module in copy.deepcopy(cnn).eval().named_children():
        if isinstance(module, BATCH_NORMS):
            modules[last] = fuse_conv_bn_eval(modules[last], module)  # type: ignore[type-var]
        else:
            modules[name] = module
            last = name
    return nn.Sequential(modules).eval()
