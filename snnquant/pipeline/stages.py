"""The stages of a run, each reading and writing the run folder, so that any can be the last.

train_cnn -> quantize_cnn -> convert_cnn -> train_twin -> train_snn. A stage whose result
exists is not run again, and every stage starts from files, never from what an earlier one left in
memory: a run that was killed and resumed ends like one that was not.

>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> from snnquant.config import ModelConfig, RunConfig, TrainingConfig
>>> config = RunConfig(
...     scene="synthetic:24x24x16",
...     model=ModelConfig(widths=(2, 2)),
...     training=TrainingConfig(cnn_epochs=1, quantized_epochs=1, snn_epochs=1),
... )
>>> with TemporaryDirectory() as folder:
...     run = Run.create(config, Path(folder) / "run")
...     for stage in (train_cnn, quantize_cnn, convert_cnn, train_twin, train_snn):
...         stage(run)
...     [network.value for network in run.present()]
['cnn_fp32', 'cnn_quantized', 'cnn_twin', 'snn_converted', 'snn_trained']
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from snnquant.config import RunConfig
from snnquant.conversion import convert, fold_batch_norm
from snnquant.errors import InputError
from snnquant.io import write_json
from snnquant.models import build_model
from snnquant.pipeline.fit import fit
from snnquant.pipeline.front_end_choice import choose_front_end, with_front_end
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import KEY_MAP, batch_size_for, changed, store, twin_method
from snnquant.pipeline.teacher import soft_labels
from snnquant.quantization import Calibration, Plan, complete, quantize
from snnquant.scenes.pixels import remark
from snnquant.spiking import SpikingNetwork
from snnquant.stored_networks import Network
from snnquant.training import PotentialGrids, Stage, SynapseNorms, predict

CALIBRATION_PATCHES = 1024
"""Training patches on which the thresholds are calibrated."""


def train_cnn(run: Run) -> None:
    """Train the 32-bit CNN and fold its batch norms into the convolutions.

    Args:
        run: The run; nothing is done if it has its CNN.

    Raises:
        InputError: If a file cannot be written.
    """
    if not run.has(Network.CNN_FP32):
        choose_front_end(run)
        config = run.config
        torch.manual_seed(config.seed)
        cnn = build_model(config.model, run.scene.bands, run.scene.classes, batch_norm=True)
        run.write()
        training = config.training
        stage = Stage(Network.CNN_FP32.stage, training.cnn_epochs, training.learning_rate)
        fit(run, cnn, stage, None)
        run.save(Network.CNN_FP32, with_front_end(run, fold_batch_norm(cnn)))
    run.finish(Network.CNN_FP32.stage)


def quantize_cnn(run: Run) -> None:
    """Train the CNN further under quantization, to compare it with the quantized SNN.

    Args:
        run: A run with its 32-bit CNN; nothing is done at 32 bits, or if it has its quantized CNN.

    Raises:
        InputError: If the run has no CNN or a file cannot be written.
    """
    config = run.config
    if run.quantization and not run.has(Network.CNN_QUANTIZED):
        method, training = run.quantization, config.training
        teacher, cnn = run.load(Network.CNN_FP32).network, run.load(Network.CNN_FP32).network
        plan: Plan = method.plan()
        calibration = _with_classes(run)
        quantize(cnn, method, calibration)
        if plan.trains:
            # It starts where the 32-bit CNN ended: a tenth of the rate keeps it there.
            rate = training.learning_rate / 10
            stage = Stage(Network.CNN_QUANTIZED.stage, training.quantized_epochs, rate)
            fit(run, cnn, stage, teacher, plan)
            complete(cnn, method, calibration)
        run.save(Network.CNN_QUANTIZED, cnn, quantization=run.quantization)
    run.finish(Network.CNN_QUANTIZED.stage)


def convert_cnn(run: Run) -> None:
    """Convert the 32-bit CNN into an SNN; write conversion.json.

    Thresholds are calibrated on training pixels and scaled on validation pixels: to the best
    accuracy, or on held-out blocks to the best agreement with the CNN.

    Args:
        run: A run with its CNN; nothing is done if it has its converted SNN.

    Raises:
        InputError: If the run has no CNN, the CNN has no spiking form, or a file cannot be
            written.
    """
    if run.has(Network.SNN_CONVERTED):
        return
    run.progress(Network.SNN_CONVERTED.stage, 0, 1, "")
    cnn = run.load(Network.CNN_FP32).network
    validation, calibration = run.samples(run.split.val), _calibration(run)

    def classes(network: nn.Module) -> Tensor:
        batch = batch_size_for(network, calibration[:1])
        return predict(network, validation.patches, validation.indices, batch).argmax(1)

    # The labels of a few held-out fields would draw thresholds away from the CNN's function.
    blocks = run.config.split.validates_on_blocks and not run.refits
    wanted = classes(cnn) if blocks else validation.classes

    def accuracy(network: nn.Module) -> float:
        return (classes(network) == wanted).double().mean().item()

    snn, report = convert(
        cnn,
        calibration[:1],
        calibration,
        neuron=run.config.neuron,
        conversion=run.config.conversion,
        accuracy=accuracy,
    )
    write_json(run.path / "conversion.json", report.to_dict())
    run.save(Network.SNN_CONVERTED, snn, neuron=run.config.neuron)
    assert report.validation_accuracy is not None
    what = "agreement with the CNN" if blocks else "validation OA"
    reached = f"{what} {100 * report.validation_accuracy:.2f} %"
    run.progress(Network.SNN_CONVERTED.stage, 1, 1, reached)


def train_snn(run: Run) -> None:
    """Train weights, leaks and thresholds of the converted SNN together, under quantization.

    Args:
        run: A run with its converted SNN; nothing is done if it has its trained SNN.

    Raises:
        InputError: If the run has no converted SNN or a file cannot be written.
    """
    if not run.has(Network.SNN_TRAINED):
        config, training = run.config, run.config.training
        start = run.load(Network.SNN_CONVERTED)
        snn = start.network
        assert isinstance(snn, SpikingNetwork)
        if training.snn_start == "random":
            torch.manual_seed(config.seed)
            snn.cpu()  # so that the same numbers are drawn on every device
            for module in snn.modules():
                getattr(module, "reset_parameters", lambda: None)()
            snn.to(run.device)
        for name, parameter in snn.named_parameters():
            kind = name.rpartition(".")[2]
            if kind in ("leak", "threshold"):
                parameter.requires_grad_(training.trained_neuron in ("both", kind))
        method = run.quantization
        plan: Plan = method.plan() if method else Plan()
        calibration = _with_classes(run)
        if method and plan.trains:
            quantize(snn, method, calibration)
        norms = _norms(run, snn)
        grid = start.grid
        potentials = PotentialGrids(snn, None if grid is None else grid.step)
        cnn, name = run.load(Network.CNN_FP32).network, Network.SNN_TRAINED
        teacher = soft_labels(run, cnn, student=name)
        stage = Stage(name.stage, training.snn_epochs, training.learning_rate)
        fit(run, snn, stage, teacher, plan, penalised=True)
        if norms is not None:
            norms.fold()
        if method:
            (complete if plan.trains else quantize)(snn, method, calibration)
        potentials.finish()
        run.save(Network.SNN_TRAINED, snn, quantization=run.quantization, neuron=config.neuron)
    run.finish(Network.SNN_TRAINED.stage)


def train_twin(run: Run) -> None:
    """Train the SNN's twin: the CNN under quantization, its activations as fine as T spikes.

    It starts from the 32-bit CNN and has the SNN's soft labels, rate and batch norms. A run at 32
    bits has none, nor has one whose quantization method, or CNN, has no activations to quantize;
    that is said in one line on stderr.

    Args:
        run: A run with its 32-bit CNN; nothing is done if it has its twin.

    Raises:
        InputError: If the run has no CNN or a file cannot be written.
    """
    if run.quantization and not run.has(Network.CNN_TWIN):
        method, training = twin_method(run.config), run.config.training
        if method is None:
            found = f"--quantization {run.quantization.method}, T = {run.config.neuron.time_steps}"
            remark(f"no twin: found {found}, expected activations of 1 to 8 bits")
            return
        cnn, calibration = run.load(Network.CNN_FP32).network, _with_classes(run)
        plan: Plan = method.plan()
        try:
            quantize(cnn, method, calibration)
        except InputError as error:
            remark(f"no twin: {error}")
            return
        if plan.trains:
            epochs = training.twin_epochs or max(1, training.snn_epochs // 2)
            norms = _norms(run, cnn)
            name, start = Network.CNN_TWIN, run.load(Network.CNN_FP32).network
            teacher = soft_labels(run, start, student=name)
            stage = Stage(name.stage, epochs, training.learning_rate)
            fit(run, cnn, stage, teacher, plan, penalised=True)
            if norms is not None:
                norms.fold()
            complete(cnn, method, calibration)
        run.save(Network.CNN_TWIN, cnn, quantization=method)
    run.finish(Network.CNN_TWIN.stage)


def change_options(run: Run, config: RunConfig) -> None:
    """Take other options for training a run's SNN and store them in its config.toml.

    Its twin is trained anew.

    Args:
        run: A run without its trained SNN.
        config: The options that are wanted; its scene is left out.

    Raises:
        InputError: An option decided on a network that the run has.
    """
    imported = (run.path / KEY_MAP).exists()
    new = changed(run.config, config, set(run.present()), imported)
    if new != run.config:
        object.__setattr__(run, "config", new)
        for name in (Network.SNN_TRAINED, Network.CNN_TWIN):
            run.finish(name.stage)  # what was begun was begun with other options
        run.drop(Network.CNN_TWIN)
        store(new, run.path)


def _norms(run: Run, network: nn.Module) -> SynapseNorms | None:
    """Put batch norms after the synapses of an SNN or its twin, if the options say so."""
    if not run.config.training.snn_batch_norm:
        return None
    patches = _calibration(run)
    return SynapseNorms(network, patches[: batch_size_for(network, patches[:1])])


def _calibration(run: Run) -> Tensor:
    """Draw training patches by the run's seed, for thresholds and statistics."""
    return _with_classes(run).inputs


def _with_classes(run: Run) -> Calibration:
    """Draw training patches and their classes by the run's seed, for passes over a network."""
    pixels = np.random.default_rng(run.config.seed).permutation(run.split.train)
    drawn = run.samples(pixels[:CALIBRATION_PATCHES])
    return Calibration(drawn.patches.gather(drawn.indices), drawn.classes.to(run.device))
