"""Typed content of a run folder's JSON files; the page docs/run_folder.md is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from snnquant.errors import InputError
from snnquant.nn import LayerInfo
from snnquant.report.calibration import Calibration, SmoothedScores
from snnquant.report.json_records import Record, from_json, to_json
from snnquant.report.rival_metrics import Rival
from snnquant.stored_networks import Network
from snnquant.training import Scores

SCHEMA = 1
"""Number that changes when a key of metrics.json is renamed, removed or gets another meaning."""


@dataclass(frozen=True)
class NetworkMetrics(Scores):
    """Scores of one network on the test pixels, and its size."""

    parameters: int
    """Trainable numbers; a quantized weight counts once."""
    confusion: list[list[int]] | None = None
    """Test pixels by true class (row) and predicted class (column), [K, K]."""
    smoothed: SmoothedScores | None = None
    """Scores of the smoothed map on the same pixels."""


@dataclass(frozen=True)
class SceneMetrics:
    """The classified scene."""

    name: str
    """Name of the scene."""
    shape: tuple[int, ...]
    """Rows, columns and bands of the cube."""
    labelled: int
    """Pixels with a label."""
    class_names: tuple[str, ...]
    """Names of the K classes; class k is entry k - 1."""
    own: bool = False
    """True for a scene built in Python or of a card of the user's, whatever its name."""


@dataclass(frozen=True)
class ModelMetrics:
    """The architecture that CNN and SNN share."""

    name: str
    """Name of the architecture."""
    window: int
    """Side of the square patch, pixels."""
    time_steps: int
    """Time steps T per classification of the SNN."""
    bits: int
    """Bits per weight after quantization; 32 is floating point."""
    layers: tuple[LayerInfo, ...]
    """Convolutions and dense layers in the order in which they run."""
    activation_bits: int = 32
    """Bits per activation of the quantized CNN; 32 is floating point."""
    pixel_bits: int = 32
    """Bits per value of a pixel that all networks receive; 32 is floating point."""
    imported: bool = False
    """True where the CNN was imported."""


@dataclass(frozen=True)
class SplitMetrics:
    """The division of the labelled pixels."""

    protocol: str
    """Way of dividing the pixels, such as random, blocks or mask."""
    seed: int
    """Seed of the draw."""
    train: int
    """Training pixels."""
    val: int
    """Validation pixels."""
    test: int
    """Test pixels."""
    leakage: float
    """Share of the test patches that hold a training or validation pixel, 0 to 1."""
    coordinates_only_oa: float
    """Overall accuracy of the nearest training pixel's label, 0 to 1: a control without spectra."""
    notes: tuple[str, ...] = ()
    """Remarks that a reader of the scores needs, such as classes without test pixels."""


@dataclass(frozen=True)
class ControlScores:
    """Scores of one control on the test pixels."""

    oa: float
    """Overall accuracy, 0 to 1."""
    aa: float
    """Average accuracy over classes with test pixels, 0 to 1."""
    kappa: float
    """Agreement beyond chance, -1 to 1."""


@dataclass(frozen=True)
class Controls:
    """Classifiers that need no network, learnt from the same pixels and scored on the same."""

    coordinates: ControlScores
    """The label of the nearest training pixel, without any spectrum."""
    lda: ControlScores
    """Shrinkage linear discriminant analysis of the pixel's and the window's mean spectrum."""
    svm: ControlScores
    """Support vector machine with a Gaussian kernel on the window's mean spectrum."""


@dataclass(frozen=True)
class Operations:
    """Operations per classified pixel, a mean over the test pixels."""

    mac: float
    """Multiply-accumulates per pixel."""
    ac: float
    """Accumulates per pixel, counted spike by spike."""


@dataclass(frozen=True)
class OperationCount:
    """Operations of one kind and widths per classified pixel."""

    kind: str
    """Kind: mac, ac, mul, add, compare or shift."""
    i: int
    """Bits of the first operand; of mac and ac those of the weight."""
    j: int
    """Bits of the second operand; of ac 1, of shift its number of distances."""
    total: int
    """Bits of the sum that mac and ac add to; 0 for other kinds."""
    arithmetic: str
    """float32 where an operand is in floating point, else integer."""
    per_pixel: float
    """Number per pixel, a mean over the test pixels."""


@dataclass(frozen=True)
class LayerEnergy:
    """Compute energy of one layer, with the element-wise work after it."""

    layer: str
    """Name of the layer."""
    energy_pj: dict[str, float]
    """Compute energy in pJ per pixel classified on its own, by cost table."""
    map_energy_pj: dict[str, float] | None = None
    """Compute energy in pJ per pixel of a map, by cost table."""


@dataclass(frozen=True)
class Gain:
    """Advantage of the first layer in memory over the digital one."""

    factor: float
    """Digital divided by in memory; above 1 in memory is better."""
    saved: float
    """1 - in memory / digital; above 0 in memory is better."""


@dataclass(frozen=True)
class FirstLayerMetrics:
    """Simulated cost of the SNN's first layer, digital against in memory."""

    hardware: str
    """Name or file of the in-memory hardware."""
    energy: Gain
    """Energy."""
    delay: Gain
    """Delay."""
    edp: Gain
    """Energy-delay product."""


@dataclass(frozen=True, kw_only=True)
class RunMetrics:
    """Content of metrics.json: scores and prices of a run's networks on its test pixels.

    >>> metrics = RunMetrics(
    ...     run="runs/mine",
    ...     seed=0,
    ...     networks={Network.CNN_FP32: NetworkMetrics(0.9, 0.8, 0.7, [0.8, 0.8], parameters=99)},
    ...     scene=SceneMetrics("field", (20, 30, 100), 250, ("Corn", "Oats")),
    ...     model=ModelMetrics("cnn32h", 5, 5, 6, ()),
    ...     split=SplitMetrics("blocks", 0, 90, 10, 150, leakage=0.0, coordinates_only_oa=0.6),
    ... )
    >>> metrics.networks["cnn_fp32"].oa, metrics.to_dict()["cnn_fp32"]["oa"]
    (0.9, 0.9)
    >>> RunMetrics.from_dict(metrics.to_dict()) == metrics
    True
    """

    schema: int = SCHEMA
    """Schema number of the file."""
    run: str
    """Run folder."""
    seed: int
    """Seed of the run."""
    networks: dict[Network, NetworkMetrics]
    """Scores by network, each at the top level under its key; only networks that the run has."""
    spike_rates: dict[str, float] | None = None
    """Spikes per neuron per step of the trained SNN, by LIF layer."""
    scene: SceneMetrics
    """The classified scene."""
    model: ModelMetrics
    """The architecture that CNN and SNN share."""
    split: SplitMetrics
    """The division of the labelled pixels."""
    controls: Controls | None = None
    """Classifiers that need no network; a network worth its cost beats them."""
    operations: dict[str, Operations] = field(default_factory=dict)
    """Operations per classified pixel, by network; the twin's products with zeros are none."""
    operations_by_width: dict[str, tuple[OperationCount, ...]] | None = None
    """All operations per pixel classified on its own by kind and widths, by network."""
    energy_pj: dict[str, dict[str, float]] = field(default_factory=dict)
    """Compute energy in pJ per pixel classified on its own, by cost table and network."""
    energy_by_layer: dict[str, tuple[LayerEnergy, ...]] | None = None
    """The same by layer, by network; files of before have none."""
    energy_ratio: dict[str, dict[str, float]] = field(default_factory=dict)
    """Energy of a CNN over that of the trained SNN, by cost table and CNN."""
    map_energy_pj: dict[str, dict[str, float]] | None = None
    """Compute energy in pJ per pixel of a map, where windows share work; by table and network."""
    map_energy_ratio: dict[str, dict[str, float]] | None = None
    """The same ratio per pixel of a map."""
    effort: dict[str, dict[str, float]] | None = None
    """Effort in bit operations per pixel classified on its own, by cost table and network."""
    effort_ratio: dict[str, dict[str, float]] | None = None
    """Effort of a CNN over that of the trained SNN, by cost table and CNN."""
    map_effort: dict[str, dict[str, float]] | None = None
    """Effort in bit operations per pixel of a map, by cost table and network."""
    map_effort_ratio: dict[str, dict[str, float]] | None = None
    """The same ratio per pixel of a map."""
    rival: Rival | None = None
    """The trained SNN against its twin, the CNN of the same weights and as many levels."""
    pim: FirstLayerMetrics | None = None
    """The first layer in memory; only for a quantized SNN."""
    calibration: dict[Network, Calibration] | None = None
    """Smoothing and confidence, by network."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read the JSON object of metrics.json; keys that it does not know are left out.

        Raises:
            InputError: For another schema, a missing key or a value of another type, naming it.
        """
        if values.get("schema") != SCHEMA:
            raise InputError(f"metrics: schema: found {values.get('schema')}, expected {SCHEMA}")
        networks = {key: values[key] for key in Network if key in values}
        read = from_json(cls, {**values, "networks": networks}, "metrics")
        return read

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of metrics.json; keys without a value are left out."""
        values: dict[str, Any] = {}
        for key, value in to_json(self).items():
            values |= value if key == "networks" else {key: value}
        return values


@dataclass(frozen=True)
class FixedSteps(Record):
    """Scores of the trained SNN where every pixel has the same number of time steps."""

    time_steps: int
    """Time steps of every pixel, 1 to the T that the network was trained with."""
    overall_accuracy: float
    """Overall accuracy on test pixels, 0 to 1."""
    accumulates_per_mac: float
    """Accumulates over the dense MACs of the layers that receive spikes."""
    energy_pj: dict[str, float]
    """Compute energy in pJ per pixel, by cost table."""


@dataclass(frozen=True)
class EarlyExit(Record):
    """Content of early_exit.json: cost of stopping each pixel once its class is settled."""

    margins: tuple[float, ...]
    """Lead of the best logit over the second from which on a pixel stops, by step."""
    time_steps: int
    """Time steps T of the network."""
    mean_steps: float
    """Mean steps per test pixel."""
    share_by_step: tuple[float, ...]
    """Share of the test pixels that stop after step 1, 2, ... T, 0 to 1."""
    overall_accuracy: float
    """Overall accuracy with early exit, 0 to 1."""
    overall_accuracy_of_all_steps: float
    """Overall accuracy after all T steps, 0 to 1."""
    agreement: float
    """Share of the test pixels whose class is the same as after all T steps, 0 to 1."""
    energy_pj: dict[str, float]
    """Compute energy with early exit in pJ per pixel, by cost table."""
    energy_pj_of_all_steps: dict[str, float]
    """Compute energy of all T steps in pJ per pixel, by cost table."""
    fixed_steps: tuple[FixedSteps, ...] = ()
    """Scores at 1, 2, ... T steps without early exit; empty in files of before."""


@dataclass(frozen=True)
class IntegerScores(Record):
    """Content of integers.json: the trained SNN in integer arithmetic."""

    overall_accuracy: float
    """Overall accuracy in integers, 0 to 1."""
    overall_accuracy_in_floats: float
    """Overall accuracy in floating point, 0 to 1."""
    agreement: float
    """Share of the test pixels with the same class in both, 0 to 1."""
