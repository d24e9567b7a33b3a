"""Convolutions in a cheaper equal form where the kernel cannot slide along some axes.

Outputs have the channels last in memory, which neurons and activations keep, so that the values
that the next convolution adds are adjacent. Under `torch.autocast` only convolutions that are
computed as dense layers take the lower precision: those that slide are no faster in it on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Conv2d(nn.Conv2d):
    """`nn.Conv2d`; a kernel of one pixel, or as large as its input, is a dense layer."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if _is_plain(self) and weight.shape[2:] == input.shape[2:]:
            dense = functional.linear(input.flatten(1), weight.flatten(1), bias)
            return dense[..., None, None]
        if _is_plain(self) and weight.shape[2:] == (1, 1) and self.stride == (1, 1):
            return _in_full(_per_pixel, input, weight, bias)
        return _in_full(super()._conv_forward, input, weight, bias)


class Conv3d(nn.Conv3d):
    """`nn.Conv3d`, on fewer axes where the kernel slides only along the bands of [N, C, B, h, w].

    A kernel as high and wide as its input is a convolution over the bands of a single pixel with
    h w C channels, and one of 1x1 pixels a 2-D convolution over bands and pixels, or a dense layer
    per pixel of B C channels where it spans all bands. A training step then takes a third to two
    thirds of the time.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _in_full(self._slide, input, weight, bias)

    def _slide(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if _is_plain(self) and weight.shape[3:] == input.shape[3:]:
            pixel, kernel = (x.permute(0, 3, 4, 1, 2).flatten(1, 3) for x in (input, weight))
            # As rows of height 1, not columns: torch sees by the strides that channels are last.
            rows, stride = (pixel[:, :, None], kernel[:, :, None]), (1, self.stride[0])
            return functional.conv2d(*rows, bias, stride).transpose(2, 3)[..., None]
        if (
            _is_plain(self)
            and weight.shape[2:] == (input.shape[2], 1, 1)
            and self.stride[1:] == (1, 1)
        ):
            return _per_pixel(input.flatten(1, 2), weight.flatten(1, 2), bias)[:, :, None]
        if _is_plain(self) and weight.shape[3:] == (1, 1) and self.stride[1:] == (1, 1):
            pixels, kernel = input.flatten(3), weight.flatten(3)
            spectra = functional.conv2d(pixels, kernel, bias, (self.stride[0], 1))
            return spectra.view(*spectra.shape[:3], *input.shape[3:])
        if self.groups > 1 and not (any(self.padding) or self.dilation != (1, 1, 1)):
            grouped = self._slide_in_groups(input, weight, bias)
            if grouped is not None:
                return grouped
        output: Tensor = super()._conv_forward(input, weight, bias)
        return output.contiguous(memory_format=torch.channels_last_3d)

    def _slide_in_groups(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """Convolve in groups along the bands only; None where the kernel slides in space too.

        torch's grouped 3-D convolutions take 5 to 20 times as long as its 2-D ones.
        """
        step = self.stride[0]
        if weight.shape[3:] == input.shape[3:]:
            # Group by group, so that the channels of a group stay together.
            rows, kernel = (
                x.permute(0, 1, 3, 4, 2).flatten(1, 3)[:, :, None] for x in (input, weight)
            )
            output = functional.conv2d(rows, kernel, bias, (1, step), groups=self.groups)
            return output.transpose(2, 3)[..., None]
        if weight.shape[3:] == (1, 1) and self.stride[1:] == (1, 1):
            spectra = functional.conv2d(
                input.flatten(3), weight.flatten(3), bias, (step, 1), groups=self.groups
            )
            return spectra.view(*spectra.shape[:3], *input.shape[3:])
        return None


def _per_pixel(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve [N, C, h, w] with a kernel of one pixel: a product of matrices, pixels as rows."""
    rows = input.permute(0, 2, 3, 1)
    dense = functional.linear(rows.flatten(0, 2), weight.flatten(1), bias)
    return dense.view(*rows.shape[:3], len(weight)).permute(0, 3, 1, 2)


def _in_full(
    convolve: Callable[..., Tensor], input: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Convolve outside of any autocast."""
    device = input.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return convolve(input.float(), weight, bias)
    return convolve(input, weight, bias)


def _is_plain(convolution: nn.Conv2d | nn.Conv3d) -> bool:
    """Check that the convolution has no padding, dilation or groups."""
    return (
        not any(convolution.padding)
        and set(convolution.dilation) == {1}
        and convolution.groups == 1
    )
