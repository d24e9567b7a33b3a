"""Plans of the methods that remove weights before training under quantization."""

from __future__ import annotations

from torch import Tensor, nn

from snnquant.errors import InputError
from snnquant.quantization.edge_of_chaos import (
    clear,
    draw_weights,
    largest,
    layer_rms,
    rescale_to_rms,
    rescale_to_variance,
    weight_scores,
)
from snnquant.quantization.filter_removal import prune_filters
from snnquant.quantization.masked import MaskedWeight
from snnquant.quantization.methods.filter_pruning import FilterPruning
from snnquant.quantization.methods.pruning_at_start import PruningAtStart
from snnquant.quantization.plan import Calibration, LayerPlace, Plan

RMS_INPUTS = 256
"""Calibration inputs on which the size of layers' outputs is measured."""


def filter_pruning(config: FilterPruning) -> Plan:
    """Return the plan that removes filters; each quantizer keeps its layer's error bound."""
    errors: dict[str, float] = {}

    def prune(network: nn.Module, calibration: Calibration) -> None:
        errors.update(
            prune_filters(
                network,
                calibration.inputs[: config.points],
                keep=config.keep,
                kind=config.kind,
                failure=config.failure,
                seed=config.seed,
            )
        )

    def quantizer(weight: Tensor, place: LayerPlace) -> MaskedWeight:
        return MaskedWeight(weight, config.bits, errors.get(place.name, 0.0))

    return Plan(weight=quantizer, before=(prune,))


def pruning_at_start(config: PruningAtStart) -> Plan:
    """Return the plan that draws weights, removes the smallest scores and rescales the rest."""

    def prune(network: nn.Module, calibration: Calibration) -> None:
        if config.start == "redraw":
            draw_weights(network, config.sigma_w, config.sigma_b, config.seed)
        prune_at_start(network, calibration, config)

    recipe = {"learning_rate": config.learning_rate} if config.start == "redraw" else {}
    return Plan(
        weight=lambda weight, place: MaskedWeight(weight, config.bits),
        before=(prune,),
        recipe=recipe,
    )


def prune_at_start(network: nn.Module, calibration: Calibration, config: PruningAtStart) -> None:
    """Remove the weights of the smallest scores, in place, and rescale the layers.

    Args:
        network: CNN or SNN in floating point, untrained.
        calibration: Training inputs and their classes.
        config: Share that is kept and kind of rescaling.

    Raises:
        InputError: The classes are missing, or a layer lost all of its weights.
    """
    if calibration.classes is None:
        raise InputError(
            "quantization pruning_at_start: found calibration without classes, expected "
            "Calibration(inputs, classes)"
        )
    masks = largest(weight_scores(network, calibration.inputs, calibration.classes), config.keep)
    for name, mask in masks.items():
        if not mask.any():
            raise InputError(
                f"layer {name}: found no weight left at keep {config.keep}, expected more to be "
                "kept or weights on the edge of chaos (sigma_w 1.41 for ReLU, 1 for tanh)"
            )
    some = calibration.inputs[:RMS_INPUTS]
    dense = layer_rms(network, some)
    clear(network, masks)
    if config.rescale == "rms":
        rescale_to_rms(network, some, dense)
    elif config.rescale == "variance":
        rescale_to_variance(network, config.sigma_w)
