"""Activations whose bits are found in training and kept in a buffer."""

from __future__ import annotations

import torch
from torch import Tensor

from snnquant.config.methods import ActivationQuantizerName
from snnquant.quantization.activations import QuantizedReLU


class AllocatedReLU(QuantizedReLU):
    """ReLU of as many bits as the buffer ``width`` says; its ceiling stays when they change.

    Args and Raises as `ActivationQuantizer`.

    >>> relu = AllocatedReLU(bits=2)
    >>> relu.start(torch.tensor([1.0, 2.0, 3.0]))
    >>> relu.bits = 1
    >>> relu(torch.tensor([1.0, 2.0])).tolist(), relu.bits
    ([0.0, 3.0], 1)
    """

    width: Tensor

    def __init__(self, bits: int, quantizer: ActivationQuantizerName = "pact") -> None:
        super().__init__(bits, quantizer)

    @property
    def bits(self) -> int:
        """Bits per activation."""
        return int(self.width)

    @bits.setter
    def bits(self, bits: int) -> None:
        if "width" in self._buffers:
            self.width.fill_(bits)
        else:
            self.register_buffer("width", torch.tensor(float(bits)))
