"""An estimator after scikit-learn's conventions: arrays in, a map out."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from snnquant.config import (
    ModelConfig,
    NeuronConfig,
    QuantizationConfig,
    RunConfig,
    SplitConfig,
    TrainingConfig,
)
from snnquant.errors import InputError
from snnquant.inference import (
    Cube,
    classify_scene,
    scene_probabilities,
    tile_classifier,
    tile_logits,
)
from snnquant.pipeline import stages
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import with_scaling
from snnquant.sampling import split_without_test
from snnquant.scenes import Scene
from snnquant.scenes.pixels import PixelRules


class SpikingClassifier:
    """A quantized spiking network that learns from a cube's labelled pixels and maps cubes.

    It trains a CNN, converts it, and trains the SNN under quantization: `snnquant run` without its
    test pixels. Parameters are stored as they are given and checked by `fit`, so that
    `sklearn.base.clone`, `get_params` and `set_params` work; scikit-learn itself is not needed.

    Args:
        model: Architecture, as `snnquant models` lists them.
        window: Side of the square patch around a pixel, odd; None takes the model's own.
        components: Principal components in place of the bands; 0 keeps the bands, None takes the
            model's own.
        bits: Bits per weight, 2 to 8, or 32 for floating point.
        time_steps: Time steps T per classification.
        cnn_epochs: Epochs of the CNN.
        snn_epochs: Epochs of the SNN.
        batch_size: Patches per training step.
        learning_rate: Peak learning rate.
        validation_fraction: Share of the labelled pixels, 0 to 1, that choose the best epoch and
            the thresholds; the others train.
        random_state: Seed of validation pixels, initial weights and the order of patches.
        run_folder: Folder that keeps the run; training that was stopped resumes from it. None
            keeps nothing.
        device: Where torch computes: "cpu" or "cuda".

    Attributes:
        classes_: Class numbers [K] of the labels that were learnt, ascending.
        n_features_in_: Bands B of the cube.
        network_: The trained `SpikingNetwork`.

    >>> import numpy as np
    >>> from snnquant import SpikingClassifier
    >>> cube = np.random.default_rng(0).normal(size=(12, 12, 20))
    >>> labels = np.repeat([[1], [2]], 6, axis=0) * np.ones((1, 12), int)
    >>> cube[:6] += np.linspace(0, 3, 20)
    >>> model = SpikingClassifier(window=3, cnn_epochs=2, snn_epochs=2).fit(cube, labels)
    >>> model.predict(cube).shape, model.predict_proba(cube).shape
    ((12, 12), (12, 12, 2))
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        model: str = "cnn1x1",
        *,
        window: int | None = None,
        components: int | None = None,
        bits: int = 6,
        time_steps: int = 2,
        cnn_epochs: int = 40,
        snn_epochs: int = 80,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
        validation_fraction: float = 0.1,
        random_state: int = 0,
        run_folder: str | Path | None = None,
        device: str = "cpu",
    ) -> None:
        self.model = model
        self.window = window
        self.components = components
        self.bits = bits
        self.time_steps = time_steps
        self.cnn_epochs = cnn_epochs
        self.snn_epochs = snn_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.run_folder = run_folder
        self.device = device

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; `deep` is scikit-learn's and changes nothing here."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters by name; raise InputError for an unknown one, before any is set."""
        for name in parameters:
            if name not in _PARAMETERS:
                expected = ", ".join(_PARAMETERS)
                raise InputError(f"set_params: found {name!r}, expected one of {expected}")
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({values})"

    def fit(self, cube: ArrayLike | Scene, labels: ArrayLike | None = None) -> Self:
        """Train on all labelled pixels of a cube, or of a `Scene`.

        Args:
            cube: Pixels [H, W, B], or a `Scene`, which has its own labels. Pixels that are NaN or
                infinite in a band have no data and are not learnt.
            labels: Class numbers [H, W]; 0 is unlabelled.

        Returns:
            The classifier itself.

        Raises:
            InputError: For a parameter or array that cannot be used, naming it.
        """
        scene = _scene_of(cube, labels)
        numbers = scene.labels if labels is None else np.asarray(labels)
        config = self._config()
        split = split_without_test(scene, config.split.validation_fraction, config.seed)
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "run" if self.run_folder is None else Path(self.run_folder)
            device = torch.device(self.device)
            if not (folder / "config.toml").exists():
                run = Run.create(config, folder, device=device, scene=scene, split=split)
            else:
                run = Run.open(folder, device=device)
                asked = replace(with_scaling(config, scene), scene=run.config.scene)
                same_pixels = (run.scene.digest, run.split.digest) == (scene.digest, split.digest)
                if not (run.config == asked and same_pixels):
                    found = f"a run of another scene or other parameters in {folder}"
                    raise InputError(f"run_folder: found {found}, expected a new folder")
            stages.train_cnn(run)
            stages.convert_cnn(run)
            stages.train_snn(run)
            checkpoint = run.load("snn_trained")
        self.classes_ = np.unique(numbers[numbers > 0]).astype(np.int64)
        self.n_features_in_ = scene.bands
        self.network_ = checkpoint.network
        self._nodata = scene.nodata
        self._normalisation, self._window = checkpoint.normalisation, config.model.window
        self._inputs = config.model.inputs(scene.bands)
        return self

    def predict(self, cube: ArrayLike | Scene) -> NDArray[np.int64]:
        """Classify every pixel of a cube.

        Args:
            cube: Pixels [H, W, B] with the bands and the scaling of the cube that was learnt, or a
                `Scene`.

        Returns:
            Class numbers [H, W], as in the labels given to `fit`; 0 only where a pixel has no data.

        Raises:
            InputError: Before `fit`, for a cube of other bands and for one smaller than the window.
        """
        pixels = self._cube(cube)
        numbers = np.zeros(pixels.shape[:2], np.uint16)
        classify, _ = tile_classifier(self.network_, self._inputs, self._window)
        classify_scene(classify, pixels, self._normalisation, self._window, numbers)
        found: NDArray[np.int64] = np.append(0, self.classes_)[numbers]
        return found

    def predict_proba(self, cube: ArrayLike | Scene) -> NDArray[np.float32]:
        """Return class probabilities [H, W, K], the softmax of the logits; K as in `classes_`.

        Args and Raises as `predict`. Pixels without data have zeros. The probabilities are not
        calibrated.
        """
        pixels = self._cube(cube)
        logits, _ = tile_logits(self.network_, self._inputs, self._window)
        return scene_probabilities(
            logits, pixels, self._normalisation, self._window, len(self.classes_)
        )

    def score(self, cube: ArrayLike | Scene, labels: ArrayLike | None = None) -> float:
        """Return the overall accuracy, 0 to 1, on the labelled pixels of a cube or `Scene`.

        Args and Raises as `fit`; labels that were not learnt count as errors, pixels without data
        not at all.
        """
        scene = _scene_of(cube, labels)
        truth = scene.labels if labels is None else np.asarray(labels)
        found, labelled = self.predict(cube), (truth > 0) & scene.valid
        return float((found[labelled] == truth[labelled]).mean())

    def _config(self) -> RunConfig:
        own: dict[str, Any] = {}
        if self.window is not None:
            own["window"] = self.window
        if self.components is not None:
            own["components"] = self.components
        return RunConfig(
            seed=self.random_state,
            split=SplitConfig(validation_fraction=self.validation_fraction),
            model=ModelConfig(name=self.model, **own),
            quantization=QuantizationConfig(bits=self.bits),
            neuron=NeuronConfig(time_steps=self.time_steps),
            training=TrainingConfig(
                cnn_epochs=self.cnn_epochs,
                snn_epochs=self.snn_epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
            ),
        )

    def _cube(self, cube: ArrayLike | Scene) -> Cube:
        """Return the pixels to classify; InputError before `fit` or for other bands."""
        if not hasattr(self, "network_"):
            raise InputError("SpikingClassifier: found no trained network, expected fit first")
        if isinstance(cube, Scene):
            pixels = Cube.of_scene(cube)
        else:
            pixels = Cube.of_array(cube).read_as(PixelRules(self._nodata))
        if pixels.shape[2] != self.n_features_in_:
            expected = f"expected {self.n_features_in_} as in fit"
            raise InputError(f"cube: found {pixels.shape[2]} bands, {expected}")
        return pixels


_PARAMETERS = tuple(inspect.signature(SpikingClassifier.__init__).parameters)[1:]


def _scene_of(cube: ArrayLike | Scene, labels: ArrayLike | None) -> Scene:
    """Return a scene of the arrays, or the scene itself; raise InputError for too many or few."""
    if isinstance(cube, Scene) and labels is None:
        return cube
    if isinstance(cube, Scene) or labels is None:
        found = "none beside an array" if labels is None else "them beside a Scene"
        raise InputError(f"labels: found {found}, expected a cube with labels, or a Scene")
    return Scene.from_arrays(cube, labels)
