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
    card, product, numbered, mask, waves = blocks("toml")
    Path("field.toml").write_text(card)
    labels = load_scene("field.toml").labels
    np.testing.assert_array_equal(labels, field["labels"])
    cube = tomllib.loads(product)["cube"]
    with h5py.File(cube["file"], "w") as file:
        file[cube["variable"]] = np.moveaxis(field["cube"], 2, 0)
    Path("product.toml").write_text(product + card[card.index("[labels]") :])
    np.testing.assert_array_equal(load_scene("product.toml").cube, field["cube"])
    assert tomllib.loads(numbered)["classes"][0]["label"] == 11
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
