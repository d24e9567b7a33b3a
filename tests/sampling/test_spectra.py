"""Forms of the spectrum and within-class whitening, against scipy and by their invariances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from snnquant.config import ModelConfig
from snnquant.errors import InputError
from snnquant.sampling import Normalisation, Patches
from snnquant.sampling.spectra import prepare
from snnquant.scenes import Scene

BANDS, SIDE, CLASSES = 6, 12, 3
TRAIN = np.arange(SIDE * SIDE)
FORMS = ("raw", "snv", "log-derivative")
SHRINKAGES = st.sampled_from([1e-4, 1e-3, 0.1, 3.0])


def noisy(seed: int, bands: int = BANDS, level: float = 50.0) -> Scene:
    """Build classes of different means, whose bands vary together."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(1, CLASSES + 1, (SIDE, SIDE))
    means = draw.normal(level, 5, (CLASSES + 1, bands))
    mixed = draw.normal(0, 1, (SIDE, SIDE, bands)) @ draw.normal(0, 1, (bands, bands))
    return Scene.from_arrays((means[labels] + mixed).astype(np.float32), labels)


def within_class(values: np.ndarray, scene: Scene) -> np.ndarray:
    """Return the covariance [K, K] of values [N, K] about their class means, by plain loops."""
    labels, total = scene.labels.ravel(), np.zeros((values.shape[1],) * 2)
    for number in range(1, CLASSES + 1):
        own = values[labels == number].astype(np.float64)
        for row in own - own.mean(axis=0):
            total += np.outer(row, row)
    return total / len(values)


def fitted(scene: Scene, spectra: str = "raw", shrinkage: float | None = None) -> Normalisation:
    scaling = "standard" if shrinkage is None else f"within-class:{shrinkage}"
    return Normalisation.fit(scene, TRAIN, 0, scaling, spectra)


def root_of(normalisation: Normalisation) -> np.ndarray:
    """Return the matrix without its last standardisation: the root's diagonal is not known."""
    matrix = normalisation.components.astype(np.float64)
    # S^(-1/2) D is known; symmetry of S^(-1/2) gives D up to a factor.
    scale = matrix[0] / matrix[:, 0]
    return matrix / scale


@given(st.integers(0, 999), SHRINKAGES)
def test_whitening_is_the_inverse_root_of_scipy(seed, shrinkage):
    scene = noisy(seed)
    pixels = scene.cube.reshape(-1, BANDS).astype(np.float64)
    covariance = within_class(pixels, scene)
    shrunk = covariance + shrinkage * np.trace(covariance) / BANDS * np.eye(BANDS)
    root = linalg.inv(linalg.sqrtm(shrunk))
    values = (pixels - pixels.mean(axis=0)) @ root
    expected = root / values.std(axis=0)
    found = fitted(scene, shrinkage=shrinkage)
    np.testing.assert_allclose(found.components, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found.std, 1)


@given(st.integers(0, 999), SHRINKAGES)
def test_whitened_training_pixels_have_no_covariance_within_classes(seed, shrinkage):
    scene = noisy(seed)
    values = fitted(scene, shrinkage=shrinkage).apply(scene.cube).reshape(-1, BANDS)
    np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-3)
    covariance = within_class(scene.cube.reshape(-1, BANDS), scene)
    left = within_class(values, scene)
    # Up to the standardisation, S^(-1/2) C S^(-1/2) with S = C + shrinkage: its eigenvalues are
    # c / (c + s), which no shrinkage would make 1.
    root = root_of(fitted(scene, shrinkage=shrinkage))
    whole = linalg.eigvalsh(root @ covariance @ root)
    variances = linalg.eigvalsh(covariance)
    shares = variances / (variances + shrinkage * variances.mean())
    np.testing.assert_allclose(whole / whole[-1], shares / shares[-1], rtol=0.02, atol=2e-3)
    if shrinkage < 1e-3 and shares[0] > 0.99:
        scale = np.sqrt(np.diag(left))
        np.testing.assert_allclose(left / np.outer(scale, scale), np.eye(BANDS), atol=0.02)


@given(st.integers(0, 999), SHRINKAGES)
def test_the_root_is_symmetric_and_bands_keep_their_order(seed, shrinkage):
    root = root_of(fitted(noisy(seed), shrinkage=shrinkage))
    np.testing.assert_allclose(root, root.T, rtol=1e-2, atol=1e-3 * np.abs(root).max())
    assert (np.diag(root) > 0).all()


@given(st.integers(0, 999), st.floats(0.25, 8), st.floats(-20, 20))
def test_snv_knows_no_gain_and_no_offset(seed, gain, offset):
    cube = noisy(seed).cube
    expected = prepare(cube, "snv", 0.0)
    found = prepare((gain * cube + offset).astype(np.float32), "snv", 0.0)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    np.testing.assert_allclose(expected.mean(axis=-1), 0, atol=1e-4)
    np.testing.assert_allclose(expected.std(axis=-1), 1, rtol=1e-4)


@given(st.integers(0, 999), st.floats(0.25, 8), st.sampled_from([None, 1e-3]))
def test_the_slope_of_the_logarithm_knows_no_gain(seed, gain, shrinkage):
    scene = noisy(seed)
    draw = np.random.default_rng(seed)
    normalisation = fitted(scene, "log-derivative", shrinkage)
    gains = draw.uniform(gain, 2 * gain, (SIDE, SIDE, 1))
    found = normalisation.apply((gains * scene.cube).astype(np.float32))
    assert found.shape == (SIDE, SIDE, BANDS - 1)
    np.testing.assert_allclose(found, normalisation.apply(scene.cube), atol=0.02)


def test_the_slope_is_the_difference_of_the_logarithms_of_neighbours():
    scene = noisy(0)
    logarithms = np.log(scene.cube.astype(np.float64)).reshape(-1, BANDS)
    slopes = np.diff(logarithms, axis=1)
    expected = (slopes - slopes.mean(axis=0)) / slopes.std(axis=0)
    found = fitted(scene, "log-derivative").apply(scene.cube).reshape(-1, BANDS - 1)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@given(
    st.permutations(FORMS).flatmap(lambda forms: st.integers(2, 3).map(lambda n: forms[:n])),
    st.integers(0, 99),
    st.sampled_from([None, 1e-2]),
)
def test_forms_side_by_side_are_each_by_itself(forms, seed, shrinkage):
    scene = noisy(seed)
    together = fitted(scene, "+".join(forms), shrinkage)
    alone = [fitted(scene, form, shrinkage).apply(scene.cube) for form in forms]
    expected = np.concatenate(alone, axis=-1)
    found = together.apply(scene.cube)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    config = ModelConfig(spectra="+".join(forms))
    assert config.inputs(BANDS) == found.shape[-1]
    patches = Patches(scene.cube, 3, together)
    assert patches.bands == found.shape[-1]
    middle = patches.gather(np.array([SIDE + 1]))[0, 0, :, 1, 1].numpy()
    np.testing.assert_array_equal(middle, found[1, 1])


@pytest.mark.parametrize("spectra", [*FORMS, "+".join(FORMS)])
@pytest.mark.parametrize("shrinkage", [None, 1e-3])
def test_constant_bands_and_flat_spectra_do_no_harm(spectra, shrinkage):
    scene = noisy(0)
    cube = scene.cube.copy()
    cube[..., 2] = 7
    cube[3, 4], cube[5, 6] = 0.1, 12345.6  # no shape: the mean of equal floats is not quite theirs
    flat = replace(scene, cube=cube)
    values = fitted(flat, spectra, shrinkage).apply(cube)
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 1e3
    ones = replace(scene, cube=np.ones_like(cube))
    assert np.isfinite(fitted(ones, spectra, shrinkage).apply(cube)).all()


@pytest.mark.parametrize("value", [0.1, 1 / 3, 3.3e-7, 12345.6, -0.7, 0.0])
@pytest.mark.parametrize("bands", [3, 103, 200])
def test_the_snv_of_a_flat_spectrum_is_zero(value, bands):
    found = prepare(np.full((2, bands), value, np.float32), "snv", 0.0)
    np.testing.assert_allclose(found, 0, atol=1e-2)


@pytest.mark.parametrize("spectra", FORMS)
@pytest.mark.parametrize("pixels", [1, 2, BANDS - 1])
def test_fewer_pixels_than_bands_stay_finite(spectra, pixels):
    scene = noisy(1)
    normalisation = Normalisation.fit(scene, TRAIN[:pixels], 0, "within-class", spectra)
    assert np.isfinite(normalisation.apply(scene.cube)).all()


def test_a_single_band_has_no_slope_and_stays():
    scene = noisy(1, bands=1)
    values = fitted(scene, "log-derivative", 1e-3).apply(scene.cube)
    assert values.shape == scene.cube.shape
    assert ModelConfig(spectra="log-derivative").inputs(1) == 1
    np.testing.assert_allclose(values.std(), 1, rtol=1e-3)


def test_the_logarithm_of_pixels_that_are_not_positive_is_refused_in_a_line():
    scene = noisy(0, level=-50)
    with pytest.raises(InputError, match=r"^--spectra: found training pixels of mean -") as caught:
        fitted(scene, "raw+log-derivative")
    assert "\n" not in str(caught.value)
    assert np.isfinite(fitted(scene, "snv").apply(scene.cube)).all()


def test_single_values_that_are_not_positive_are_raised_to_a_thousandth_of_the_mean():
    scene = noisy(0)
    cube = scene.cube.copy()
    cube[0, 0], cube[0, 1, 3] = -5, 0
    normalisation = fitted(replace(scene, cube=cube), "log-derivative")
    assert normalisation.floor == pytest.approx(1e-3 * cube.mean(), rel=1e-3)
    found = prepare(cube, "log-derivative", normalisation.floor)
    np.testing.assert_allclose(found[0, 0], np.log(normalisation.floor), rtol=1e-5)
    assert np.isfinite(normalisation.apply(cube)).all()


@pytest.mark.parametrize("scaling", ["minmax", "minmax-band", "none", "whiten", "divide:10"])
def test_other_scalings_beside_forms_are_refused(scaling):
    expected = rf"^--spectra: found snv beside --scaling {scaling}, expected standard or"
    with pytest.raises(InputError, match=expected):
        Normalisation.fit(noisy(0), TRAIN, 0, scaling, "snv")


@pytest.mark.parametrize(
    ("scaling", "spectra"), [("within-class", "raw"), ("standard", "snv"), ("within-class", "snv")]
)
def test_principal_components_of_forms_or_whitened_spectra_are_refused(scaling, spectra):
    with pytest.raises(InputError, match=r"^--components: found 2 principal comp.*expected 0"):
        Normalisation.fit(noisy(0), TRAIN, 2, scaling, spectra)
    # As many components as bands are the bands.
    assert Normalisation.fit(noisy(0), TRAIN, BANDS, scaling, spectra).components is not None


@pytest.mark.parametrize("spectra", ["", "raw+", "raw+raw", "snv,raw", "derivative", "auto+raw"])
def test_unknown_forms_are_refused(spectra):
    with pytest.raises(InputError, match=r"^--spectra: found .*expected auto, raw, snv"):
        ModelConfig(spectra=spectra)


def test_only_training_pixels_and_their_labels_count():
    scene = noisy(3)
    train = TRAIN[::2]
    before = Normalisation.fit(scene, train, 0, "within-class", "raw+log-derivative")
    cube, labels = scene.cube.copy(), scene.labels.copy()
    cube.reshape(-1, BANDS)[1::2] += 100
    labels.ravel()[1::2] = 1
    after = Normalisation.fit(
        replace(scene, cube=cube, labels=labels), train, 0, "within-class", "raw+log-derivative"
    )
    for name in ("mean", "std", "components"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert before.floor == after.floor
