"""Options that name the networks of a command, and the groups of options in its help."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from pim_sim.errors import InputError

if TYPE_CHECKING:
    from pim_sim.workload import Workload

WORKLOAD = Group("Workload", sort_key=1)
DESIGN = Group("Design", sort_key=2)
SEARCH = Group("Search", sort_key=3)
LARGE = Group("Large sweeps", sort_key=4)
OUTPUT = Group("Output", sort_key=5)

RUN_FILES = {
    "snn": "workload.json",
    "cnn_twin": "workload_cnn_twin.json",
    "cnn_quantized": "workload_cnn_quantized.json",
    "cnn": "workload_cnn.json",
}
"""Workload files of a run directory, by network; only the first is in every one."""

_In = Parameter(group=WORKLOAD)
_FLOATING_BITS = 16


@dataclass(frozen=True, kw_only=True)
class Source:
    """The options that name a workload: a run, a file, an ONNX file, or the shapes of a layer."""

    run_dir: Annotated[Path | None, Parameter(name="--run", group=WORKLOAD)] = None
    """Run directory; its workload files are read."""
    workload: Annotated[Path | None, _In] = None
    """Workload file, as `snnquant workload` writes it for a checkpoint."""
    onnx: Annotated[Path | None, _In] = None
    """ONNX file of a network; needs the extra onnx."""
    layer: Annotated[str | None, _In] = None
    """One layer by the shape of its weights, filters first, like 8x1x7x3x3."""
    input: Annotated[str | None, _In] = None
    """Shape of the input of --layer, channels first, like 1x200x5x5."""
    stride: Annotated[str, _In] = "1"
    """Stride of --layer, one number or one per axis, like 4x1x1."""
    padding: Annotated[str, _In] = "0"
    """Padding of --layer, one number or one per axis."""
    time_steps: Annotated[int, _In] = 1
    """Time steps of --layer."""
    density: Annotated[float, _In] = 1.0
    """Mean share of inputs of --layer that are not zero."""
    bits: Annotated[int, _In] = 8
    """Bits of weights and inputs, of --onnx and --layer."""
    weight_bits: Annotated[int | None, _In] = None
    """Bits of weights where they differ from --bits."""
    input_bits: Annotated[int | None, _In] = None
    """Bits of inputs where they differ from --bits; 1 for spikes."""

    def read(self) -> Workload:
        """Read the first network; `InputError` for no source, for two, or for an unusable one."""
        return next(iter(self.networks().values()))

    def networks(self) -> dict[str, Workload]:
        """Read all networks by their kind: snn, cnn_twin, cnn_quantized, cnn."""
        from pim_sim.workload import Workload

        options: dict[str, object] = {"--run DIR": self.run_dir, "--workload FILE": self.workload}
        options |= {"--onnx FILE": self.onnx, "--layer SHAPE": self.layer}
        if sum(value is not None for value in options.values()) != 1:
            *others, last = options
            raise InputError(f"give one of {', '.join(others)} and {last}")
        self._refuse_unused()
        if self.run_dir is not None:
            files = {name: self.run_dir / file for name, file in RUN_FILES.items()}
            return {
                name: Workload.from_json(file)
                for name, file in files.items()
                if name == "snn" or file.is_file()
            }
        found = self._single()
        return {kind_of(found): found}

    def _refuse_unused(self) -> None:
        """Refuse options of another source, which would do nothing."""
        of_bits, unused = {"bits", "weight_bits", "input_bits"}, set[str]()
        of_layer = {"input", "stride", "padding", "time_steps", "density"}
        if self.layer is None:
            unused |= of_layer if self.onnx is not None else of_layer | of_bits
        for field in fields(self):
            if field.name in unused and getattr(self, field.name) != field.default:
                option = f"--{field.name.replace('_', '-')}"
                raise InputError(f"{option}: found it beside a file, expected --layer SHAPE")

    def _single(self) -> Workload:
        from pim_sim.workload import Workload, from_onnx, one_layer

        weight_bits = self.bits if self.weight_bits is None else self.weight_bits
        input_bits = self.bits if self.input_bits is None else self.input_bits
        if self.workload is not None:
            return Workload.from_json(self.workload)
        if self.onnx is not None:
            return from_onnx(self.onnx, weight_bits=weight_bits, input_bits=input_bits)
        assert self.layer is not None  # one of the four is given
        if self.input is None:
            raise InputError("--layer: found no --input SHAPE, expected one like 1x200x5x5")
        return one_layer(
            self.layer,
            self.input,
            weight_bits=weight_bits,
            input_bits=input_bits,
            stride=self.stride,
            padding=self.padding,
            time_steps=self.time_steps,
            density=self.density,
        )


def kind_of(workload: Workload) -> str:
    """Return the name of a network by its bits: snn, cnn_quantized or cnn."""
    if workload.of_spikes:
        return "snn"
    wide = any(layer.weight_bits > _FLOATING_BITS for layer in workload.layers)
    return "cnn" if wide else "cnn_quantized"


From = Annotated[Source, Parameter(name="*")]
Technology = Annotated[str, Parameter(group=DESIGN)]
File = Annotated[Path | None, Parameter(group=OUTPUT)]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), group=OUTPUT)]
NO_SOURCE = Source()
