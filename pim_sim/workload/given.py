"""A workload of one layer, given as shapes on the command line."""

from __future__ import annotations

from typing import get_args

from pim_sim.errors import InputError
from pim_sim.workload.layer import Layer, LayerKind
from pim_sim.workload.workload_file import Workload

_KINDS: dict[int, LayerKind] = {2: "linear", 3: "conv1d", 4: "conv2d", 5: "conv3d"}


def one_layer(
    weights: str,
    inputs: str,
    *,
    weight_bits: int = 8,
    input_bits: int = 8,
    stride: str = "",
    padding: str = "",
    time_steps: int = 1,
    density: float = 1.0,
) -> Workload:
    """Return a workload of one layer from shapes such as 8x1x7x3x3 and 1x200x5x5.

    Args:
        weights: shape of the weights in torch's layout, filters first; its length is the kind.
        inputs: shape of the input, channels first.
        weight_bits: bits of a weight.
        input_bits: bits of an input; 1 for spikes.
        stride: one number per spatial axis, or one for all; 1 by default.
        padding: one number per spatial axis, or one for all; 0 by default.
        time_steps: time steps per pixel.
        density: mean share of inputs that are not zero.

    Raises:
        InputError: the shapes do not fit.

    >>> one_layer("8x1x7x3x3", "1x200x5x5", weight_bits=6).layers[0].macs
    879984
    """
    weight_shape, input_shape = _numbers("--layer", weights), _numbers("--input", inputs)
    if len(weight_shape) not in _KINDS:
        kinds = ", ".join(get_args(LayerKind))
        raise InputError(f"--layer: found {weights!r}, expected 2 to 5 numbers ({kinds})")
    axes = len(weight_shape) - 2
    channels = weight_shape[1]
    layer = Layer(
        name="layer",
        kind=_KINDS[len(weight_shape)],
        input_shape=input_shape,
        weight_shape=weight_shape,
        stride=_per_axis("--stride", stride, axes, 1),
        padding=_per_axis("--padding", padding, axes, 0),
        weight_bits=weight_bits,
        input_bits=input_bits,
        signed=True,
        time_steps=time_steps,
        input_density=density,
        repeats_input=input_bits > 1,
        groups=input_shape[0] // channels if axes and input_shape[0] % channels == 0 else 1,
    )
    return Workload(name=f"layer {weights}", layers=(layer,))


def _per_axis(option: str, text: str, axes: int, usual: int) -> tuple[int, ...]:
    given = _numbers(option, text) if text else (usual,)
    return given * axes if len(given) == 1 else given


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split("x"))
    except ValueError:
        raise InputError(f"{option}: found {text!r}, expected numbers as 8x1x7x3x3") from None
