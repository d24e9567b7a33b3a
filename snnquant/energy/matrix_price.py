"""Price of the matrix that a normalisation multiplies each spectrum by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snnquant.energy.counts import LayerActivity
from snnquant.energy.operand_widths import FLOAT32, Width
from snnquant.nn import LayerInfo
from snnquant.sampling import Normalisation

FRONT_END_BITS = 18
"""Bits per weight of the matrix, and of a first layer that it is folded into, in a quantized
network, with one scale per output and form of the spectrum: a single scale for values of thousands
and logarithms loses the latter. Whitened spectra are small differences of bands, for which 6 or 8
bits are too coarse. On Indian Pines 18 bits leave 99.9 % of all pixels the class that they have in
floating point, 16 bits 99.8 % (three forms side by side: 99.6 %)."""
SENSOR = Width(16)
"""Width of a sensor's values, which the matrix multiplies in a quantized network."""
FRONT_END = "front_end"
"""Name of the matrix among the layers."""


def with_front_end(
    layers: Sequence[LayerActivity], normalisation: Normalisation, window: int
) -> list[LayerActivity]:
    """Add to a network's layers what the matrix of its normalisation takes.

    Before pixels in floating point, a first 3-D kernel of all bands times 1x1 takes the matrix into
    its weights, as `snnquant.conversion.fold_front_end` does, at the cost of its own
    multiplications, with weights of `FRONT_END_BITS`. In other cases the matrix is a 1x1 layer of
    its own, at every position of the window. Means, standard deviations and a matrix that only
    scales go into the next weights in either case, and are free.

    Args:
        layers: Layers, as `measure` returns them.
        normalisation: Normalisation of the network's input.
        window: Side of a patch in pixels.

    Returns:
        The layers, with one more after them, so that the network's first layer stays the first, or
        with the first one changed; equal to `layers` for a normalisation without a matrix that
        mixes bands.

    >>> one = np.ones(4, np.float32)
    >>> info = LayerInfo("conv", "conv3d", (1, 4, 3, 3), (8, 1, 2, 1, 1), (), (), (), 8)
    >>> first = LayerActivity(info, False, 1.0, mac=8.0, ac=0.0, ac_by_rate=0.0)
    >>> whitened = Normalisation(one, one, np.ones((4, 4), np.float32))
    >>> [(row.info.name, row.mac) for row in with_front_end([first], whitened, 3)]
    [('conv', 8.0), ('front_end', 144.0)]
    """
    matrix = normalisation.components
    if matrix is None or _only_scales(matrix):
        return list(layers)
    first, inputs = layers[0], matrix.shape[1]
    spans_all = first.info.kind == "conv3d" and first.info.weight_shape[1:] == (1, inputs, 1, 1)
    bits = None if all(layer.bits is None for layer in layers) else FRONT_END_BITS
    values = FLOAT32 if bits is None or first.input.floating else SENSOR
    if spans_all and not any(first.info.padding) and normalisation.grid is None:
        mac = first.mac * len(matrix) / inputs
        folded = replace(first, mac=mac, bits=bits, input=values, distances=0, terms=1.0)
        return [folded, *layers[1:]]
    shapes = ((len(matrix), window, window), (inputs, len(matrix), 1, 1), (inputs, window, window))
    mac = int(np.count_nonzero(matrix)) * window**2
    info = LayerInfo(FRONT_END, "conv2d", *shapes, (1, 1), (0, 0), mac)
    row = LayerActivity(info, False, 1.0, float(mac), 0.0, 0.0, bits=bits, input=values)
    return [*layers, row]


def _only_scales(matrix: NDArray[np.float32]) -> bool:
    """Tell whether a matrix is diagonal."""
    square = matrix.shape[0] == matrix.shape[1]
    return square and np.array_equal(matrix, np.diag(matrix.diagonal()))
