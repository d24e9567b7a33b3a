"""`snnquant scenes list`, `show` and `fetch`."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from snnquant.cli import main
from snnquant.cli.scenes import app
from snnquant.errors import InputError
from snnquant.scenes import READERS


@pytest.fixture(autouse=True)
def empty_data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("SNNQUANT_DATA", str(folder))
    return folder


def call(capsys, *arguments: str) -> str:
    app(list(arguments), result_action="return_none")
    return capsys.readouterr().out


def test_list_names_every_scene_and_its_place(capsys, empty_data_folder):
    scenes = {
        scene["name"]: scene for scene in json.loads(call(capsys, "list", "--json"))["scenes"]
    }
    assert scenes["indian_pines"]["at_hand"]
    assert scenes["indian_pines"]["shape"] == [145, 145, 200]
    assert scenes["indian_pines"]["classes"] == 16
    assert not scenes["salinas_a"]["at_hand"]
    assert scenes["salinas_a"]["cube"] is None
    (empty_data_folder / "SALINAS_A_corrected.mat").touch()
    (empty_data_folder / "salinas_a_gt.mat").touch()
    scenes = {
        scene["name"]: scene for scene in json.loads(call(capsys, "list", "--json"))["scenes"]
    }
    assert scenes["salinas_a"]["at_hand"]
    assert scenes["salinas_a"]["cube"].endswith("SALINAS_A_corrected.mat")


def test_list_is_the_default_subcommand(capsys):
    assert call(capsys) == call(capsys, "list")
    text = call(capsys)
    assert "salinas_a" in text
    assert "in the package tensorly" in text
    assert "missing" in text


def test_show_counts_pixels_when_labels_are_available(capsys, make_card, labels):
    path = make_card()
    shown = json.loads(call(capsys, "show", path, "--json"))
    assert shown["pixels"] == {
        "unlabelled": np.count_nonzero(labels == 0),
        "maize": np.count_nonzero(labels == 3),
        "barley": np.count_nonzero(labels == 7),
    }
    assert shown["label_values"] == [3, 7]
    text = call(capsys, "show", path)
    assert "barley" in text
    assert "#00ff00" in text


def test_show_without_the_data(capsys):
    assert json.loads(call(capsys, "show", "salinas_a", "--json"))["pixels"] is None
    text = call(capsys, "show", "salinas_a")
    assert "missing: salinas_a_corrected.mat" in text
    assert "Lettuce-romaine-4wk" in text


def test_show_prints_brackets_of_a_name_as_they_are(capsys, make_card, card_text):
    text = call(capsys, "show", make_card(card_text.replace("maize", "[red]maize")))
    assert "[red]maize" in text


def test_fetch_prints_the_paths(capsys, make_card, tmp_path):
    paths = call(capsys, "fetch", make_card()).splitlines()
    assert paths == [str(tmp_path / "cube.npy"), str(tmp_path / "labels.npy")]


@pytest.mark.parametrize("subcommand", ["show", "fetch"])
def test_an_unknown_scene(subcommand):
    with pytest.raises(InputError, match="found atlantis, expected one of indian_pines"):
        app([subcommand, "atlantis"], result_action="return_none")


def test_the_whole_command_line_ends_in_one_line_and_2(capsys, make_card, tmp_path):
    path = make_card()
    (tmp_path / "labels.npy").write_bytes(b"")
    with pytest.raises(SystemExit) as caught:
        main(["scenes", "show", path])
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert err.startswith(f"snnquant: {tmp_path / 'labels.npy'}: found an empty file, expected ")
    assert all(str(reader) in err for reader in READERS)
    assert len(err.splitlines()) == 1


def test_list_imports_no_heavy_library():
    code = (
        "import sys; from snnquant.cli.scenes import app;"
        "app(['list'], result_action='return_none');"
        "print(sorted({'torch', 'scipy', 'h5py', 'spectral', 'tensorly'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert result.stdout.splitlines()[-1] == "[]"
