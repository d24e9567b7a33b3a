"""Networks as modules of snnTorch: readable source code and a file of weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.config.scaling_names import forms_of
from snnquant.exporters import ExportRequest
from snnquant.exporters.preparation import check_source_name, frozen, identifiers, sample_shapes
from snnquant.io import replacing
from snnquant.nn import INPUT, GraphNetwork
from snnquant.nn.kinds import DROPOUTS, MAX_POOLS
from snnquant.nn.wiring import Sum, WeightedSum
from snnquant.sampling import Normalisation
from snnquant.sampling.spectra import FLAT
from snnquant.spiking import LIF, Neuron, SpikingNetwork, require_lif
from snnquant.spiking.snntorch_adapter import to_snntorch

TEMPLATE = '''"""A spiking network as a snnTorch module, written by snnquant.

`load()` returns it with its weights, which are in the .pt file beside this one. It needs only
torch and snntorch (1.0 or later).
"""

from pathlib import Path

import snntorch as snn
import torch
from torch import nn

TIME_STEPS = {time_steps}
METADATA = {{
{metadata}
}}


class Network(nn.Module):
    """{units} patches [N, {patch}] to logits [N, {classes}], the mean over the time steps."""

    def __init__(self):
        super().__init__()
{init}

    def forward(self, patches, time_steps=TIME_STEPS):
{once}
        # Membrane potentials before the first step.
        mem = {{
{mem}
        }}
{counts}        total = 0
        for _ in range(time_steps):
{steps}
            total = total + {last}
        return total / time_steps


def load():
    """Return the network with its weights, in evaluation mode."""
    network = Network()
    weights = torch.load(Path(__file__).with_suffix(".pt"), weights_only=True)
    network.load_state_dict(weights)
    return network.eval()
'''
RESERVED = {*dir(nn.Module()), "mean", "std", "components", "torch", "nn", "snn", "len", "range"}
RESERVED |= {
    "self",
    "patches",
    "raw",
    "log",
    "snv",
    "level",
    "spread",
    "time_steps",
    "x",
    "mem",
    "counts",
    "largest",
    "new",
    "total",
}
"""Names that the source uses for anything except layers."""


def write_snntorch(request: ExportRequest, path: Path) -> None:
    """Write `path`, which ends in .py, and a state dict of the same name that ends in .pt.

    With a normalisation, which goes into the module, it takes raw patches. Dropout is left out.
    Raises InputError for another ending, a name that hides a package, a CNN, a layer of an unknown
    kind, and where `to_snntorch` does: for the reset same_step, and without snnTorch.
    """
    check_source_name(path, "snntorch", "torch")
    writer = _Writer(frozen(request.network, "snntorch"), request.example)
    if request.normalisation is not None:
        writer.standardise(request.normalisation)
    for row in writer.rows:
        writer.add(row)
    with replacing(path.with_suffix(".pt")) as temporary:
        torch.save(writer.state, temporary)
    with replacing(path) as temporary:
        temporary.write_text(writer.source(request.metadata), encoding="utf-8")


FORMS = {
    "raw": ["raw = patches"],
    "log-derivative": ["log = patches.clamp(min={floor!r}).log()"],
    "snv": [
        "level = patches.mean(2, keepdim=True)",
        "snv = patches - level",
        "spread = snv.square().mean(2, keepdim=True).sqrt()",
        f"snv = snv / torch.where(spread > {FLAT!r} * level.abs(), spread, 1.0)",
    ],
}
"""Lines that compute the nonlinear part of each form of the spectra."""


class _Writer:
    """A collector of lines: of the constructor, before the loop over the steps, and in it."""

    def __init__(self, network: SpikingNetwork, example: Tensor) -> None:
        self.network = network
        self.shapes = sample_shapes(network, example)
        self.patch: tuple[int, ...] = self.shapes[INPUT]
        named = network.layers.named_children()
        graph = GraphNetwork({name: _plain(layer) for name, layer in named}, network.inputs)
        self.rows = graph.describe()
        self.names = identifiers(network.inputs, RESERVED)
        self.values = {INPUT: "x"}
        self.init: list[str] = []
        self.once = ["x = patches"]
        self.mem: list[str] = []
        self.counted: list[str] = []
        self.steps: list[str] = []
        self.state: dict[str, Tensor] = {}

    def standardise(self, normalisation: Normalisation) -> None:
        """Take raw patches: the statistics become buffers."""
        for name in ("mean", "std", "components"):
            values = getattr(normalisation, name)
            if values is not None:
                tensor = torch.from_numpy(values)
                tensor = tensor.T.contiguous() if name == "components" else tensor[:, None, None]
                dtype = ""
                if name == "components" and normalisation.grid is not None:
                    tensor, dtype = tensor.double(), ", dtype=torch.float64"
                self.state[name] = tensor
                empty = f"torch.empty({tuple(tensor.shape)}{dtype})"
                self.init.append(f"self.register_buffer({name!r}, {empty})")
        self.once, forms = [], []
        for form in forms_of(normalisation.spectra):
            self.once += [line.format(floor=normalisation.floor) for line in FORMS[form]]
            forms.append(form.partition("-")[0])
        joined = forms[0] if len(forms) == 1 else f"torch.cat([{', '.join(forms)}], 2)"
        self.once.append(f"x = ({joined} - self.mean) / self.std")
        if normalisation.components is not None:
            columns = "x.flatten(3).squeeze(1)"
            if normalisation.grid is None:
                self.once.append(f"x = self.components @ {columns}")
            else:  # as `Normalisation.apply`: a code may depend on it
                self.once.append(f"x = (self.components @ {columns}.double()).float()")
            self.once.append(f"x = x.reshape({(-1, *self.patch)})")
            self.patch = (1, len(normalisation.mean) // len(forms), *self.patch[2:])
        if (grid := normalisation.grid) is not None:
            codes = f"(x / {grid.step!r}).round().clamp({grid.low}, {grid.high})"
            self.once.append(f"x = {codes} * {grid.step!r}")

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a layer as `GraphNetwork.describe` returns it."""
        name, sources = row["name"], [self.values[source] for source in row["inputs"]]
        layer, word = self.network.layers.get_submodule(name), self.names[name]
        if isinstance(layer, (*DROPOUTS, nn.Identity)):
            self.values[name] = sources[0]
            return
        self.values[name] = word
        if isinstance(layer, Neuron):
            self._add_neurons(name, require_lif(layer, name, "--format snntorch"), sources[0])
            return
        driven = name in self.network.spike_driven
        value = _wiring(row["kind"], row["settings"], sources)
        if value is None:
            value = f"self.{word}({sources[0]})"
            self.init.append(f"self.{word} = {_constructor(row['kind'], row['settings'])}")
            self._keep(word, layer)
        if driven and isinstance(layer, MAX_POOLS):
            # The growth of the largest count, as in SpikingNetwork.
            self.counted.append(word)
            self.steps += [
                f'counts["{word}"] = counts["{word}"] + {sources[0]}',
                f'new = self.{word}(counts["{word}"])',
                f'{word}, largest["{word}"] = new - largest["{word}"], new',
            ]
        else:
            (self.steps if driven else self.once).append(f"{word} = {value}")

    def source(self, metadata: Mapping[str, str]) -> str:
        """Return the file's text."""
        counts = "".join(
            f"        {name} = {{{', '.join(f'{word!r}: 0' for word in self.counted)}}}\n"
            for name in ("counts", "largest")
            if self.counted
        )
        last = next(reversed(self.network.inputs))
        return TEMPLATE.format(
            time_steps=self.network.time_steps,
            metadata=_indented([f"{name!r}: {text!r}," for name, text in metadata.items()], 4),
            units="Raw" if "mean" in self.state else "Standardised",
            patch=", ".join(map(str, self.patch)),
            classes=self.shapes[last][0],
            init=_indented(self.init, 8),
            once=_indented(self.once, 8),
            mem=_indented(self.mem, 12),
            counts=counts,
            steps=_indented(self.steps, 12),
            last=self.values[last],
        )

    def _add_neurons(self, name: str, layer: LIF, current: str) -> None:
        word = self.names[name]
        # Potentials are passed from step to step, so snnTorch need not hold the first one.
        leak = layer.constants().leak.item()
        leaky = to_snntorch(LIF(leak, layer.threshold.item(), reset=layer.reset))
        self._keep(word, leaky)
        self.init.append(
            f"self.{word} = snn.Leaky({leaky.beta.item()!r}, {leaky.threshold.item()!r}, "
            "learn_beta=True, learn_threshold=True, "
            f"reset_mechanism={leaky.reset_mechanism!r}, reset_delay={leaky.reset_delay})"
        )
        sizes = ", ".join(map(str, self.shapes[name]))
        start = f"{layer.initial!r} * self.{word}.threshold.expand(len(x), {sizes})"
        self.mem.append(f'"{word}": {start},')
        self.steps.append(f'{word}, mem["{word}"] = self.{word}({current}, mem["{word}"])')

    def _keep(self, word: str, layer: nn.Module) -> None:
        self.state |= {f"{word}.{key}": value for key, value in layer.state_dict().items()}


def _plain(layer: nn.Module) -> nn.Module:
    """Return a layer that can be described as data, for one of an SNN."""
    if isinstance(layer, Neuron):
        return nn.Identity()
    return Sum(layer.weights.tolist()) if isinstance(layer, WeightedSum) else layer


def _wiring(kind: str, settings: Mapping[str, Any], sources: list[str]) -> str | None:
    """Return the expression of a join or reshape, or None for a module of torch."""
    first = sources[0]
    if kind == "Sum":
        terms = zip(settings["weights"], sources, strict=True)
        return " + ".join(f"{float(weight)!r} * {source}" for weight, source in terms)
    if kind == "Concatenate":
        return f"torch.cat([{', '.join(sources)}], {settings['axis']!r})"
    if kind == "PopulationMean":
        return f"{first}.unflatten(1, (-1, {settings['size']!r})).mean(2)"
    if kind == "Mean":
        return f"{first}.mean({settings['axes']!r}, keepdim={settings['keep']!r})"
    if kind == "Permute":
        return f"{first}.permute({settings['axes']!r})"
    if kind == "Reshape":
        return f"{first}.reshape(len(x), {', '.join(map(repr, settings['shape']))})"
    return None


def _constructor(kind: str, settings: Mapping[str, Any]) -> str:
    """Return the call that makes a module of torch, without arguments at their defaults."""
    torch_class = getattr(nn, kind)
    arguments = []
    for name, parameter in inspect.signature(torch_class.__init__).parameters.items():
        if name in settings:
            value, default = settings[name], parameter.default
            value = tuple(value) if isinstance(value, (list, tuple)) else value
            same = value == default or (isinstance(value, tuple) and set(value) == {default})
            if not same:
                arguments.append(f"{name}={value!r}")
    return f"nn.{kind}({', '.join(arguments)})"


def _indented(lines: list[str], spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in lines)
