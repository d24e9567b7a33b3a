"""Soft labels of the SNN's training: from the CNN, from the controls, from several, smoothed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from snnquant.config import ModelConfig, RunConfig, TrainingConfig
from snnquant.errors import InputError
from snnquant.inference import Edges
from snnquant.inference.edges import mean_within_edges
from snnquant.pipeline.controls import lda_probabilities, score_controls, svm_probabilities
from snnquant.pipeline.run import Run
from snnquant.pipeline.stages import convert_cnn, train_cnn, train_snn, train_twin
from snnquant.pipeline.teacher import soft_labels
from snnquant.stored_networks import Network
from snnquant.training import Samples, Stage, predict, train

CONFIG = RunConfig(
    scene="synthetic:24x24x16",
    model=ModelConfig(name="cnn1x1", window=3, widths=(4, 4)),
    training=TrainingConfig(cnn_epochs=2, quantized_epochs=1, snn_epochs=2),
)


def taught(path, teacher, unlabelled=0.0, passes=0):
    options = {"teacher": teacher, "unlabelled": unlabelled, "teacher_passes": passes}
    training = replace(CONFIG.training, **options)
    run = Run.create(replace(CONFIG, training=training), path / f"{teacher}{unlabelled}{passes}")
    train_cnn(run)
    return run


def test_the_cnn_is_the_teacher_by_default(tmp_path):
    run, cnn = taught(tmp_path, "cnn"), nn.Identity()
    assert soft_labels(run, cnn) is cnn


def test_the_twin_teaches_the_snn_and_is_taught_by_the_cnn(tmp_path):
    run, cnn = taught(tmp_path, "twin"), nn.Identity()
    assert soft_labels(run, cnn, Network.CNN_TWIN) is cnn
    with pytest.raises(InputError, match="cnn_twin"):
        soft_labels(run, cnn)
    train_twin(run)
    teacher, twin = soft_labels(run, cnn), run.load(Network.CNN_TWIN).network
    patches = run.patches.gather(run.split.train[:8])
    torch.testing.assert_close(teacher(patches), twin(patches), rtol=0, atol=0)


@pytest.mark.parametrize("unlabelled", [0.0, 1.0])
def test_labels_are_those_of_lda_and_cnn_and_of_no_other_pixel(tmp_path, unlabelled):
    run = taught(tmp_path, "cnn+lda", unlabelled)
    cnn = run.load(Network.CNN_FP32).network
    labels = soft_labels(run, cnn)
    taught_pixels = set(run.split.train)
    if unlabelled:
        taught_pixels |= set(np.flatnonzero(run.scene.labels == 0))
    rows = np.flatnonzero(labels.sum(1).numpy())
    assert set(rows) == taught_pixels
    assert not set(rows) & set(run.split.test)
    torch.testing.assert_close(labels[rows].sum(1), torch.ones(len(rows)))
    linear = lda_probabilities(run.scene, run.split.train, 3, rows)
    of_cnn = predict(cnn, run.patches, torch.from_numpy(rows)).softmax(1)
    torch.testing.assert_close(labels[rows], (of_cnn + torch.from_numpy(linear).float()) / 2)


@pytest.mark.parametrize("probabilities", [lda_probabilities, svm_probabilities])
def test_controls_name_the_classes_of_a_separable_scene(tmp_path, probabilities):
    run = taught(tmp_path, "lda")
    pixels, labels = run.split.test, run.scene.labels.ravel()[run.split.test]
    found = probabilities(run.scene, run.split.train, 3, pixels)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found.argmax(1) + 1 == labels).mean() > 0.8


def test_the_svm_of_two_classes_and_of_the_score_is_one(tmp_path):
    run = taught(tmp_path, "svm")
    labels = run.scene.labels.ravel()
    two = run.split.train[labels[run.split.train] <= 2]
    found = svm_probabilities(run.scene, two, 3, two)
    assert (found.argmax(1) + 1 == labels[two]).mean() > 0.9
    score = score_controls(run.scene, run.split, 3).svm
    learn = np.union1d(run.split.train, run.split.val)
    found = svm_probabilities(run.scene, learn, 3, run.split.test)
    right = (found.argmax(1) + 1 == labels[run.split.test]).mean()
    assert right == pytest.approx(score.oa, abs=0.02)


def test_several_teachers_are_averaged_and_smoothed_over_their_own_pixels(tmp_path):
    run = taught(tmp_path, "cnn+lda+svm", 1.0, passes=2)
    cnn = run.load(Network.CNN_FP32).network
    labels = soft_labels(run, cnn)
    plain = taught(tmp_path, "cnn+lda+svm", 1.0).config
    object.__setattr__(run, "config", plain)
    single = soft_labels(run, cnn)
    rows = np.flatnonzero(single.sum(1).numpy())
    assert not set(rows) & set(run.split.test)
    np.testing.assert_array_equal(np.flatnonzero(labels.sum(1).numpy()), rows)
    parts = [
        control(run.scene, run.split.train, 3, rows)
        for control in (lda_probabilities, svm_probabilities)
    ]
    mean = predict(cnn, run.patches, torch.from_numpy(rows)).softmax(1).numpy() + sum(parts)
    np.testing.assert_allclose(single[rows].numpy(), mean / 3, atol=1e-5)
    scene, shape = run.scene, (24, 24)
    guide = Edges.of(scene.cube.reshape(-1, scene.bands)[run.split.train])(scene.cube)
    alone = np.isin(np.arange(576), rows).reshape(shape)
    expected = mean_within_edges(single.numpy().reshape(24, 24, -1), alone, guide, 2)
    np.testing.assert_allclose(labels.numpy(), expected.reshape(576, -1), atol=1e-6)


def test_a_table_of_the_teachers_own_labels_trains_as_the_teacher_does(tmp_path):
    run = taught(tmp_path, "cnn")
    pixels = run.samples(run.split.train)
    samples = Samples(run.patches, pixels.indices, pixels.classes)
    bands, classes = run.patches.bands, run.scene.classes
    teacher = nn.Sequential(nn.AvgPool3d((1, 3, 3)), nn.Flatten(), nn.Linear(bands, classes))
    everywhere = torch.arange(run.scene.height * run.scene.width)
    table = predict(teacher, run.patches, everywhere).softmax(1)
    ends = []
    for number, source in enumerate((teacher, table)):
        torch.manual_seed(0)
        student = nn.Sequential(nn.Flatten(), nn.Linear(9 * bands, classes))
        state = tmp_path / f"{number}.state"
        stage = Stage("snn", epochs=1, rate=1e-3)
        train(student, samples, samples, stage, CONFIG.training, state, teacher=source)
        ends.append(student[1].weight)
    torch.testing.assert_close(*ends, atol=1e-5, rtol=1e-4)


def test_the_snn_learns_from_the_table(tmp_path):
    ends = []
    for teacher in ("cnn", "lda"):
        run = taught(tmp_path, teacher)
        convert_cnn(run)
        train_snn(run)
        ends.append(run.load(Network.SNN_TRAINED).network.state_dict())
    assert any(not torch.equal(ends[0][name], value) for name, value in ends[1].items())
