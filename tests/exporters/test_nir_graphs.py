"""Graphs of NIR, read back and run only from the contents of the file."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

pytest.importorskip("nir", reason="NIR's own package writes and reads its files")

import nir

from snnquant.errors import InputError
from snnquant.exporters import ExportRequest
from snnquant.exporters.nir_graph import DT, to_nir, write_nir
from snnquant.nn.wiring import Concatenate, Mean, Reshape, WeightedSum
from snnquant.spiking import LIF, SpikingNetwork


class Neurons:
    """An IF or LIF node, stepped by its metadata's rule."""

    def __init__(self, node, dt: float) -> None:
        if isinstance(node, nir.IF):
            leak, scale = 1.0, node.r * dt
        else:
            leak, scale = 1 - dt / node.tau, node.r * dt / node.tau
        np.testing.assert_allclose(scale, 1, rtol=1e-12)
        self.leak, self.threshold = torch.as_tensor(leak), torch.from_numpy(node.v_threshold)
        self.reset = node.metadata["reset"]
        self.u = torch.full_like(self.threshold, node.metadata["v_initial"])
        self.o = torch.zeros_like(self.u)
        self.spikes: list[Tensor] = []

    def __call__(self, current: Tensor) -> Tensor:
        # In the file's precision: a leak of float32 comes back from tau to the last bit.
        leak, threshold = self.leak.to(current), self.threshold.to(current)
        v = leak * self.u.to(current) + current
        if self.reset == "delayed":
            v = v - threshold * self.o
        self.o = (v > threshold).to(current)
        self.u = v
        if self.reset == "same_step":
            self.u = v - threshold * self.o
        elif self.reset == "zero":
            self.u = v * (1 - self.o)
        self.spikes.append(self.o)
        return self.o


def tensor(values) -> Tensor:
    return torch.from_numpy(np.asarray(values))


def operation(node, dt: float):
    """Return the operation of a node on one sample [N, ...] without a time axis."""
    if isinstance(node, (nir.IF, nir.LIF)):
        return Neurons(node, dt)
    if isinstance(node, nir.Affine):
        return lambda x: functional.linear(x, tensor(node.weight), tensor(node.bias))
    if isinstance(node, nir.Scale):
        return lambda x: x * tensor(node.scale).to(x)
    if isinstance(node, nir.Flatten):
        return lambda x: x.flatten(
            node.start_dim + 1, node.end_dim + 1 if node.end_dim >= 0 else -1
        )
    if isinstance(node, nir.AvgPool2d):
        kernel, stride, padding = (
            tuple(int(size) for size in sizes)
            for sizes in (node.kernel_size, node.stride, node.padding)
        )
        return lambda x: functional.avg_pool2d(x, kernel, stride, padding)
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        convolve = functional.conv1d if isinstance(node, nir.Conv1d) else functional.conv2d

        def settings_of(value):
            return value if isinstance(value, str) else np.atleast_1d(value).tolist()

        return lambda x: convolve(
            x,
            tensor(node.weight),
            tensor(node.bias),
            settings_of(node.stride),
            settings_of(node.padding),
            settings_of(node.dilation),
            int(node.groups),
        )
    assert isinstance(node, (nir.Input, nir.Output))
    return lambda x: x


def run_graph(graph, patches: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return spikes [T, N, ...] of every neuron node, and logits, from the file and NIR's rules."""
    dt, steps = float(graph.metadata["dt"]), int(graph.metadata["time_steps"])
    assert tuple(graph.nodes["input"].metadata["patch_shape"]) == patches.shape[1:]
    x = patches.reshape(len(patches), *graph.nodes["input"].input_type["input"])
    operations = {name: operation(node, dt) for name, node in graph.nodes.items()}
    outputs = []
    for _ in range(steps):
        values = {"input": x}
        while "output" not in values:
            for name in graph.nodes:
                sources = [a for a, b in graph.edges if b == name]
                if name not in values and all(source in values for source in sources):
                    values[name] = operations[name](sum(values[source] for source in sources))
        outputs.append(values["output"])
    spikes = {n: torch.stack(o.spikes) for n, o in operations.items() if isinstance(o, Neurons)}
    return spikes, torch.stack(outputs).mean(0)


def spikes_of(network: SpikingNetwork, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    found: dict[str, Tensor] = {}
    for name, layer in network.layers.named_children():
        if isinstance(layer, LIF):
            layer.register_forward_hook(lambda _, __, o, name=name: found.update({name: o}))
    with torch.no_grad():
        return found, network(x)


def assert_round_trip(network: SpikingNetwork, x: Tensor, path) -> None:
    write_nir(ExportRequest(network, x), path)
    found, logits = run_graph(nir.read(path), x)
    expected, expected_logits = spikes_of(copy.deepcopy(network), x)
    assert found.keys() == expected.keys()
    for name, spikes in expected.items():
        assert torch.equal(found[name].reshape(spikes.shape), spikes), name
    torch.testing.assert_close(logits, expected_logits)


@st.composite
def networks(draw) -> tuple[SpikingNetwork, Tensor]:
    """Draw networks of layers that NIR has, on patches [N, 1, B, h, w], in float64."""
    torch.manual_seed(draw(st.integers(0, 9999)))
    bands, side = draw(st.integers(6, 12)), draw(st.sampled_from([1, 4, 5]))

    def lif() -> LIF:
        return LIF(
            draw(st.sampled_from([0.0, 0.3, 0.9, 0.99, 1.0])),
            draw(st.floats(0.05, 0.6)),
            reset=draw(st.sampled_from(["delayed", "same_step", "zero"])),
            initial=draw(st.sampled_from([0.0, 0.5])),
        )

    layers: dict[str, nn.Module] = {}
    inputs: dict[str, list[str]] = {}
    kernel, stride, padding = (draw(st.integers(1, 3)), draw(st.integers(1, 2)), 0)
    bias = draw(st.booleans())
    if side == 1:
        layers["squeeze"] = draw(
            st.sampled_from([nn.Flatten(2), nn.Sequential(), Reshape((1, bands))])
        )
        if isinstance(layers["squeeze"], nn.Sequential):  # stays a volume of one pixel
            del layers["squeeze"]
            layers["conv1"] = nn.Conv3d(1, 3, (kernel, 1, 1), (stride, 1, 1), bias=bias)
        else:
            layers["conv1"] = nn.Conv1d(1, 3, kernel, stride, padding, bias=bias)
    else:
        layers["fold"] = nn.Flatten(1, 2)
        padding = draw(st.sampled_from([0, 1, "same"]))
        stride = 1 if padding == "same" else stride
        layers["conv1"] = nn.Conv2d(bands, 3, kernel, stride, padding, bias=bias)
    layers["lif1"] = lif()
    if side > 1 and draw(st.booleans()):
        reached = layers["conv1"](torch.zeros(1, bands, side, side)).shape[-1]
        layers["pool"] = nn.AvgPool2d(2, 1, draw(st.integers(int(reached == 1), 1)))
    if draw(st.booleans()):
        before = list(layers)[-1]
        layers["scaled"] = WeightedSum(draw(st.sampled_from([[0.5, -2.0], [1.0, 1.0]])))
        inputs["scaled"] = [before, before]
        layers["lif2"] = lif()
    layers["flatten"] = nn.Flatten()
    x = torch.randn(3, 1, bands, side, side, dtype=torch.float64)
    values = x
    for layer in layers.values():
        if isinstance(layer, WeightedSum):
            values = values * layer.weights.sum()
        elif not isinstance(layer, LIF):
            values = layer.double()(values)
    layers |= {
        "dense": nn.Linear(values.shape[1], 5, bias=bias),
        "lif3": lif(),
        "dropout": nn.Dropout(),
        "classifier": nn.Linear(5, 4),
    }
    network = SpikingNetwork(layers, draw(st.integers(1, 5)), inputs)
    return network.double().eval(), x


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(networks())
def test_a_graph_read_back_gives_the_same_spikes(tmp_path_factory, case):
    assert_round_trip(*case, tmp_path_factory.mktemp("nir") / "network.nir")


@pytest.mark.parametrize("model", [("makantasis",), ("makantasis", None, 6, 0.9), ("cnn3d", 1, 6)])
def test_published_networks_spike_alike_on_real_pixels(on_indian_pines, model, tmp_path):
    network, x, _ = on_indian_pines(*model)
    assert_round_trip(network, x, tmp_path / "network.nir")
    rates = [spikes.mean() for spikes in spikes_of(copy.deepcopy(network), x)[0].values()]
    assert min(rates) > 0.01


@settings(deadline=None)
@given(st.floats(2**-20, 1, width=32), st.floats(0.125, 4, width=32))
def test_leak_and_threshold_come_back_to_the_last_bit(leak, threshold):
    network = SpikingNetwork({"lif": LIF(leak, threshold), "out": nn.Linear(3, 2)}, 2)
    node = to_nir(ExportRequest(network, torch.zeros(1, 3))).nodes["lif"]
    found = 1 - DT / node.tau if isinstance(node, nir.LIF) else np.ones(3)
    assert np.unique(found.astype(np.float32)).tolist() == [np.float32(leak)]
    assert np.unique(node.v_threshold).tolist() == [np.float32(threshold)]


def test_statistics_and_metadata_are_in_the_file(on_indian_pines, tmp_path):
    network, x, normalisation = on_indian_pines("makantasis")
    file = tmp_path / "network.nir"
    metadata = {"scene": "x", "time_steps": "99"}
    write_nir(ExportRequest(network, x, normalisation, metadata), file)
    graph = nir.read(file)
    assert graph.metadata["scene"] == "x"
    assert graph.metadata["time_steps"] == network.time_steps
    for name in ("mean", "std", "components"):
        np.testing.assert_array_equal(
            graph.nodes["input"].metadata[name], getattr(normalisation, name)
        )


REFUSED = {
    "conv1 is Conv3d(": {"conv1": nn.Conv3d(1, 2, (3, 2, 2)), "lif": LIF()},
    "max_pool is MaxPool1d(": {"f": nn.Flatten(2), "lif": LIF(), "max_pool": nn.MaxPool1d(2)},
    "wide has input": {"f": nn.Flatten(1, 2), "wide": nn.Conv2d(8, 8, 2, groups=2), "lif": LIF()},
    "long has output": {"f": nn.Flatten(1, 2), "long": nn.Conv2d(8, 3, (2, 1)), "lif": LIF()},
    "wrap is Conv2d(": {
        "f": nn.Flatten(1, 2),
        "wrap": nn.Conv2d(8, 3, 3, padding=1, padding_mode="circular"),
        "lif": LIF(),
    },
    "gap is Mean(": {"f": nn.Flatten(1, 2), "lif": LIF(), "gap": Mean((2, 3), False)},
    "rows is Linear(": {"f": nn.Flatten(2), "rows": nn.Linear(72, 2), "lif": LIF()},
    "back makes": {"f": nn.Flatten(), "lif": LIF(), "back": nn.Unflatten(1, (8, 9))},
    "cat is Concatenate(": {"f": nn.Flatten(), "lif": LIF(), "cat": Concatenate(1)},
}


@pytest.mark.parametrize("message", REFUSED)
def test_layers_that_nir_has_no_node_for_are_refused_by_name(message, tmp_path):
    file = tmp_path / "network.nir"
    side = 1 if "max_pool" in message else 3
    network = SpikingNetwork(REFUSED[message], 2).eval()
    with pytest.raises(InputError) as refusal:
        write_nir(ExportRequest(network, torch.zeros(1, 1, 8, side, side)), file)
    line = str(refusal.value)
    assert line.startswith(f"--format nir: layer {message}")
    assert line.endswith("--format onnx or snntorch takes it")
    assert "\n" not in line
    assert not file.exists()


@pytest.mark.parametrize("model", ["cnn1x1", "cnn1x1h"])
@pytest.mark.parametrize(("window", "words"), [(5, "conv1 is Conv3d"), (1, "fold makes")])
def test_kernels_over_all_bands_are_refused(on_indian_pines, model, window, words, tmp_path):
    network, x, _ = on_indian_pines(model, window)
    with pytest.raises(InputError, match=f"layer {words}") as refusal:
        write_nir(ExportRequest(network, x), tmp_path / "network.nir")
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_cnn_is_refused(tmp_path):
    request = ExportRequest(nn.Sequential(nn.Linear(2, 2)), torch.zeros(1, 2))
    with pytest.raises(InputError, match="found a CNN, expected a spiking network"):
        write_nir(request, tmp_path / "network.nir")


def test_names_that_are_no_paths_of_hdf5_do_no_harm(tmp_path):
    network = SpikingNetwork({"x": nn.Flatten(), "/c d": nn.Linear(3, 2), "a/b": LIF(0.5, 0.1)}, 3)
    write_nir(ExportRequest(network, torch.randn(2, 3)), tmp_path / "network.nir")
    graph = nir.read(tmp_path / "network.nir")
    assert set(graph.nodes) == {"input", "layer__c_d", "a_b", "output"}
