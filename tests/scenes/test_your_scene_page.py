"""The page docs/your_scene.md: its code runs, its cards load, its table has every format."""

import re
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest

from snnquant.scenes import READERS, load_mask, load_scene, read_array

PAGE = Path(__file__).parents[2] / "docs" / "your_scene.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def field(tmp_path, monkeypatch) -> dict[str, object]:
    """Run the page's Python in a folder of its own; return the names that it defines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(READERS, "_entries", {reader.name: reader for reader in READERS})
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)
    return names


def test_the_python_runs(field):
    assert field["batch"].shape == (32, 1, 16, 5, 5)
    assert load_scene("saved.npz").class_names == ("Maize", "Barley", "Grass")
    Path("one.grid").write_text("GRID 1 2 2 5 6 7 8")
    assert read_array(Path("one.grid")).tolist() == [[[5, 6], [7, 8]]]


def test_the_cards_load(field):
    card, overrides, unmixing, product, numbered, rules, mask, waves = blocks("toml")
    labels_and_classes = card[card.index("[labels]") :]
    Path("field.toml").write_text(card)
    labels = load_scene("field.toml").labels
    np.testing.assert_array_equal(labels, field["labels"])
    cube = np.load("field.npy")
    Path("field.toml").write_text(overrides + labels_and_classes)
    found = load_scene("field.toml").cube
    np.testing.assert_allclose(found, np.delete(cube, 7, axis=2) / 10000, rtol=1e-6)
    np.save("unmixing.npy", cube.transpose(2, 1, 0).reshape(16, -1))
    np.save("field_labels.npy", field["labels"].T.reshape(-1))
    Path("field.toml").write_text(unmixing + labels_and_classes)
    np.testing.assert_array_equal(load_scene("field.toml").cube, cube)
    np.save("field_labels.npy", field["labels"])
    keys = tomllib.loads(product)["cube"]
    with h5py.File(keys["file"], "w") as file:
        file[keys["variable"]] = np.moveaxis(cube, 2, 0)
    Path("product.toml").write_text(product + labels_and_classes)
    np.testing.assert_array_equal(load_scene("product.toml").cube, cube)
    assert tomllib.loads(numbered)["classes"][0]["label"] == 11
    raw = np.where(labels == 0, 255, labels)
    raw[0, :3] = (9, 4, 5)
    np.save("field_labels.npy", raw)
    Path("field.toml").write_text(
        rules + card[card.index("[cube]") : card.index("[labels]")] + card[card.index("[[") :]
    )
    assert load_scene("field.toml").labels[0, :3].tolist() == [0, 1, 2]
    np.save("field_labels.npy", field["labels"])
    np.save("train.npy", np.where(np.arange(40) < 20, labels, 0))
    np.save("test.npy", np.where(np.arange(40) < 20, 0, labels))
    Path("field.toml").write_text(mask + waves + card)
    assert load_scene("field.toml").wavelengths_nm[-1] == 1000
    assert load_mask("field.toml").test[:, :20].max() == 0


def test_the_table_has_every_format():
    table = PAGE.read_text(encoding="utf-8").partition("## Formats")[2].partition("##")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    listed = {name.strip() for row in rows[1:] for name in row.split(",")}
    # Not the formats of plugins, nor that of the example of register_reader.
    modules = {reader.name: reader.read.__module__ for reader in READERS}
    own = {n for n, module in modules.items() if module.startswith("snnquant.scenes.readers.")}
    assert listed == own - {"LINE"}
