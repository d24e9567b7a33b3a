"""Figures of the pages beside this file, drawn from the package's own code.

python docs/explained/draw.py
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pim_sim import Chip, Layer, Workload, load_chip, price_network
from snnquant.config import SplitConfig
from snnquant.energy import COSTS, Operation
from snnquant.energy.operand_widths import sum_bits
from snnquant.io import replacing
from snnquant.sampling import Split, coordinates_only_accuracy, make_split
from snnquant.scenes import load_scene
from snnquant.spiking.lif import LIFParameters, LIFState, Reset, lif_step

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN, GREY, PALE = "#0072b2", "#d55e00", "#009e73", "#5b6570", "#e3e7ec"
"""Colours that stay apart for colour-blind readers."""
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "snnquant",  # the same file from the same code
}
WINDOWS = (1, 3, 5, 7, 9)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
DIGEST = re.compile(r"\b[a-z]+[0-9a-f]{10}\b")
"""Names that matplotlib makes from the digits of what they name."""


def _figure(columns: int, width: float, height: float) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure((width, height), layout="constrained", facecolor="white")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def neuron_resets() -> Figure:
    """Draw potentials and spikes of one neuron by each reset, on one input."""
    figure, axes = _figure(3, 9, 2.6)
    current = torch.tensor([0.5, 0.9, 1.3, 0.9, 0.2, 0.1, 0.0, 0.7, 1.2, 0.8, 0.3, 0.0])
    steps = np.arange(1, len(current) + 1)
    for ax, reset in zip(axes, Reset, strict=True):
        potentials, spikes = _potentials(current, reset)
        ax.axhline(1, color=GREY, linestyle=":", linewidth=1)
        ax.bar(steps, current.numpy(), color=PALE, width=0.7, label="input current")
        ax.plot(steps, potentials, color=BLUE, marker="o", markersize=3, label="potential")
        fired = steps[spikes > 0]
        ax.plot(fired, np.full(len(fired), 2.35), "|", color=ORANGE, markersize=11, label="spike")
        ax.set(title=f"--reset {reset}", xlabel="time step", ylim=(-0.1, 2.6), yticks=(0, 1, 2))
        ax.set_xticks(steps[::2])
    axes[0].set_ylabel("in thresholds V")
    axes[0].legend(loc="upper right", fontsize=7, bbox_to_anchor=(1, 0.88))
    return figure


def _potentials(
    current: torch.Tensor, reset: Reset
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the potential compared with the threshold, and the spikes, of every step."""
    leak = 0.8
    parameters = LIFParameters(torch.tensor(leak), torch.tensor(1.0), reset)
    state = LIFState(torch.zeros(1), torch.zeros(1))
    potentials, spikes = [], []
    for value in current:
        subtracted = state.spikes if reset is Reset.DELAYED else 0 * state.spikes
        potentials.append(float(leak * state.potential + value - subtracted))
        fired, state = lif_step(value.view(1), parameters, state)
        spikes.append(float(fired))
    return np.array(potentials), np.array(spikes)


def neuron_staircase() -> Figure:
    """Draw the mean output of a neuron over T steps as a function of its constant input."""
    figure, axes = _figure(3, 9, 2.5)
    inputs = torch.linspace(-0.25, 1.25, 601)
    parameters = LIFParameters(torch.tensor(1.0), torch.tensor(1.0), Reset.SAME_STEP)
    for ax, steps in zip(axes, (1, 3, 7), strict=True):
        state = LIFState(torch.full_like(inputs, 0.5), torch.zeros_like(inputs))
        total = torch.zeros_like(inputs)
        for _ in range(steps):
            spikes, state = lif_step(inputs, parameters, state)
            total += spikes
        ax.plot(inputs, inputs.clamp(0, 1), color=GREY, linestyle=":", label="ReLU, clipped at V")
        ax.plot(inputs, total / steps, color=BLUE, label="spikes / T")
        ax.set(title=f"T = {steps}: {steps + 1} levels", xlabel="input / V", yticks=(0, 0.5, 1))
    axes[0].set_ylabel("output / V")
    axes[0].legend(loc="lower right", fontsize=7)
    return figure


def splits() -> Figure:
    """Draw a random and a block split of the same ground, each with the window of a test pixel."""
    scene = load_scene("indian_pines")
    figure, axes = _figure(2, 8, 4.2)
    top, left, side = 20, 18, 36
    for ax, (protocol, split) in zip(axes, _splits().items(), strict=True):
        labelled = scene.labels.ravel() > 0
        learn = np.concatenate([split.train, split.val])
        dropped = np.setdiff1d(np.flatnonzero(labelled), np.concatenate([learn, split.test]))
        for pixels, colour, name in (
            (learn, BLUE, "training and validation"),
            (split.test, ORANGE, "test"),
            (dropped, PALE, "guard band"),
        ):
            row, column = np.divmod(pixels, scene.width)
            inside = (abs(row - top - side / 2) < side / 2) & (
                abs(column - left - side / 2) < side / 2
            )
            ax.plot(column[inside], row[inside], "s", color=colour, markersize=3.4, label=name)
        row, column = _central(split.test, scene.width, top, left, side)
        corners = np.array([-2.5, 2.5, 2.5, -2.5, -2.5])
        ax.plot(column + corners, row + np.roll(corners, 1), color="black", linewidth=1.6)
        ax.set(title=f"--split {protocol}", aspect="equal", xticks=(), yticks=())
        ax.invert_yaxis()
        ax.axis("off")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _splits(window: int = 5) -> dict[str, Split]:
    scene = load_scene("indian_pines")
    return {
        protocol: make_split(scene, SplitConfig(protocol=protocol), window=window, seed=0)
        for protocol in ("random", "blocks")
    }


def _central(
    pixels: NDArray[np.int64], width: int, top: int, left: int, side: int
) -> tuple[int, int]:
    """Return row and column of the pixel nearest to the middle of the picture."""
    row, column = np.divmod(pixels, width)
    nearest = np.argmin((row - top - side / 2) ** 2 + (column - left - side / 2) ** 2)
    return int(row[nearest]), int(column[nearest])


def leakage() -> Figure:
    """Draw the leakage by window and the accuracy of positions only, for both splits."""
    scene = load_scene("indian_pines")
    figure, (left, right) = _figure(2, 8, 2.6)
    places = np.arange(len(WINDOWS))
    for offset, colour, protocol in ((-0.2, ORANGE, "random"), (0.2, BLUE, "blocks")):
        by_window = [_splits(window)[protocol] for window in WINDOWS]
        shares = [
            100 * split.leakage(window, scene.width)
            for split, window in zip(by_window, WINDOWS, strict=True)
        ]
        left.bar(places + offset, shares, 0.38, color=colour, label=f"--split {protocol}")
        known = 100 * coordinates_only_accuracy(_splits()[protocol], scene.labels)
        bar = right.barh([protocol], [known], color=colour)
        right.bar_label(bar, fmt="%.1f %%", padding=3)
    left.set(title="test patches that hold a training pixel, %", xlabel="window, pixels")
    left.set_xticks(places, [str(window) for window in WINDOWS])
    left.set_ylim(0, 130)
    left.legend(loc="upper left", ncols=2, fontsize=7)
    right.set(title="accuracy of coordinates only, %", xlim=(0, 119))
    return figure


def energy_of_operations() -> Figure:
    """Draw the energy of a product by bits, and the accumulates that one product pays for."""
    table = COSTS.get("horowitz_widths")
    bits, terms = np.arange(1, 9), 1152
    figure, (left, right) = _figure(2, 8, 2.8)
    accumulate = table.price({Operation("ac", 6, 1, sum_bits(6, 1, terms)): 1.0})
    macs = [
        table.price({Operation("mac", 6, int(b), sum_bits(6, int(b), terms)): 1.0}) for b in bits
    ]
    left.plot(bits, 1000 * np.array(macs), color=BLUE, marker="o", label="multiply-accumulate")
    left.axhline(1000 * accumulate, color=ORANGE, label="accumulate of a spike")
    left.set(title="fJ per operation, 6-bit weight", xlabel="bits of the activation", ylim=0)
    left.legend(fontsize=7)
    limit = np.array(macs) / accumulate
    right.fill_between(bits, limit, color=BLUE, alpha=0.2, linewidth=0)
    right.plot(bits, limit, color=BLUE)
    right.plot(bits, 0.2 * (2**bits - 1), color=ORANGE, label="20 % of T = 2^b - 1 steps spike")
    right.set(title="spikes per product that cost one product", xlabel="bits b of the activation")
    right.set(ylim=(0, 6))
    right.legend(fontsize=7)
    return figure


def chip() -> Figure:
    """Draw the parts of the chip edge_22nm with their sizes."""
    part = load_chip("edge_22nm")
    figure, (ax,) = _figure(1, 8, 3.1)
    ax.set(xlim=(0, 16), ylim=(0, 6.2))
    ax.axis("off")
    for x, y, width, height, colour, text in _parts(part):
        ax.add_patch(mpl.patches.Rectangle((x, y), width, height, color=colour, linewidth=0))
        ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8)
    for start, end in (
        ((2.6, 3.1), (4.0, 4.6)),
        ((2.6, 3.1), (4.0, 1.6)),
        ((8.0, 4.6), (10.0, 5.2)),
        ((8.0, 4.6), (10.0, 3.5)),
        ((8.0, 1.6), (10.0, 5.0)),
        ((8.0, 1.6), (10.0, 3.3)),
        ((8.0, 1.6), (10.0, 0.9)),
    ):
        arrow = {"arrowstyle": "<->", "color": GREY, "shrinkA": 3, "shrinkB": 3}
        ax.annotate("", end, start, arrowprops=arrow)
    ax.text(9.0, 5.75, "links", ha="center", fontsize=8, color=GREY)
    return figure


def _parts(part: Chip) -> list[tuple[float, float, float, float, str, str]]:
    """Return left, bottom, width, height, colour and text of the boxes."""
    macro, events = part.macro, part.events
    assert macro is not None
    assert events is not None
    memory, compute, analog = "#cfe3f1", "#fbe3cc", "#cfeee3"
    array = f"{macro.copies} macros of {macro.array.rows} x {macro.array.columns} cells"
    return [
        (0.2, 2.3, 2.4, 1.6, memory, f"DRAM\n{part.dram.bits_per_ns:g} bits per ns"),
        (4.0, 3.8, 4.0, 1.6, memory, f"weight buffer\n{part.weight_buffer.kilobytes} KB"),
        (4.0, 0.8, 4.0, 1.6, memory, f"activation buffer\n{part.activation_buffer.kilobytes} KB"),
        (10.0, 4.5, 5.8, 1.4, compute, f"core: {part.core.multipliers} multipliers, registers"),
        (10.0, 2.7, 5.8, 1.4, compute, f"events: {events.accumulators} accumulators"),
        (10.0, 0.3, 5.8, 1.4, analog, f"in memory: {array}\n{macro.converter.bits}-bit converters"),
    ]


def chip_energy() -> Figure:
    """Draw the energy of one layer on the chip, as SNN and CNN, digital and in memory."""
    figure, (ax,) = _figure(1, 8, 3.0)
    names, bottom = [], np.zeros(4)
    found: list[dict[str, float]] = []
    for spikes, name in ((False, "CNN, 3-bit activations"), (True, "SNN, T = 5")):
        for in_memory, place in (((), "digital"), (("layer",), "in memory")):
            workload = Workload(name="one layer", layers=(_layer(spikes),))
            price = price_network(workload, load_chip("edge_22nm"), in_memory)
            found.append({name: pj / 1000 for name, pj in price.by_component().items()})
            names.append(f"{name}, {place}")
    for group, (colour, parts) in GROUPS.items():
        values = np.array([sum(f.get(part, 0.0) for part in parts) for f in found])
        ax.barh(names, values, left=bottom, color=colour, label=group)
        bottom += values
    others = np.array([sum(f.values()) for f in found]) - bottom
    ax.barh(names, others, left=bottom, color=PALE, label="the rest")
    ax.set(xlabel="nJ per pixel, 128 filters of 128x3x3, one output position, 6-bit weights")
    ax.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    return figure


GROUPS = {
    "weights read and moved": (BLUE, ("weight_reads", "links")),
    "weights from DRAM, shared": (GREY, ("weight_loading",)),
    "arithmetic and registers": (ORANGE, ("multiplies", "adds", "registers")),
    "cells and drivers": ("#56b4e9", ("cells", "input_drivers", "dac")),
    "converters": (GREEN, ("converters", "shift_and_add")),
}
"""Components in the order in which they are stacked: colour, and their names in pim_sim."""


def _layer(spikes: bool) -> Layer:
    return Layer(
        name="layer",
        kind="conv2d",
        input_shape=(128, 3, 3),
        weight_shape=(128, 128, 3, 3),
        stride=(1, 1),
        padding=(0, 0),
        weight_bits=6,
        input_bits=1 if spikes else 3,
        signed=True,
        time_steps=5 if spikes else 1,
        input_density=0.2 if spikes else 0.6,
        repeats_input=False,
    )


FIGURES: tuple[Callable[[], Figure], ...] = (
    neuron_resets,
    neuron_staircase,
    splits,
    leakage,
    energy_of_operations,
    chip,
    chip_energy,
)


def same(one: str, other: str) -> bool:
    """Return True for two drawings that differ by less than a twentieth of a point."""
    one, other = DIGEST.sub("id", one), DIGEST.sub("id", other)
    if NUMBER.sub("", one) != NUMBER.sub("", other):
        return False
    first, second = (np.array(NUMBER.findall(text), float) for text in (one, other))
    return np.allclose(first, second, rtol=0, atol=0.05)


def draw(folder: Path) -> None:
    """Write every figure as NAME.svg into a folder; those that are the same stay untouched.

    Processors round differently, and no file should change for that.
    """
    for make in FIGURES:
        drawn, path = io.StringIO(), folder / f"{make.__name__}.svg"
        with mpl.rc_context(STYLE):
            make().savefig(drawn, format="svg", metadata={"Date": None})
        if not path.exists() or not same(path.read_text(encoding="utf-8"), drawn.getvalue()):
            with replacing(path) as temporary:
                temporary.write_text(drawn.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    draw(HERE)
