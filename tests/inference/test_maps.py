from __future__ import annotations

import numpy as np
import pytest
import spectral
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageColor

from snnquant.errors import InputError
from snnquant.inference import class_type, unfinished_map
from snnquant.report import write_map
from snnquant.scenes import Scene

FILES = ["map.hdr", "map.img", "map.npy", "map.png", "map_and_truth.png"]


def scene_with(names: list[str], shape: tuple[int, int] = (12, 9)) -> Scene:
    labels = np.arange(shape[0] * shape[1]).reshape(shape) % (len(names) + 1)
    colours = tuple(
        f"#{7 * k % 256:02x}{k % 256:02x}{255 - k % 256:02x}" for k in range(len(names))
    )
    cube = np.zeros((*shape, 1), np.float32)
    return Scene("field", cube, labels.astype(np.int64), tuple(names), colours, None, "0" * 64)


def rgb(scene: Scene) -> np.ndarray:
    return np.array([(0, 0, 0), *map(ImageColor.getrgb, scene.colours)], np.uint8)


@settings(deadline=None, max_examples=25)
@given(arrays(np.uint8, (12, 9), elements=st.integers(0, 3)))
def test_every_file_gives_the_class_numbers_back(tmp_path_factory, class_map):
    folder = tmp_path_factory.mktemp("maps")
    scene = scene_with(["corn", "wheat", "woods"])
    written = write_map(folder / "map", class_map, scene, beside_truth=True)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert sorted(path.name for path in written) == FILES
    np.testing.assert_array_equal(np.load(folder / "map.npy"), class_map)

    picture = Image.open(folder / "map.png")
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), class_map)
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), rgb(scene)[class_map])

    image = spectral.open_image(str(folder / "map.hdr"))
    np.testing.assert_array_equal(np.asarray(image.open_memmap())[..., 0], class_map)
    assert image.metadata["file type"] == "ENVI Classification"
    assert image.metadata["class names"] == ["unlabelled", "corn", "wheat", "woods"]
    assert [int(value) for value in image.metadata["class lookup"]] == rgb(scene).ravel().tolist()


def test_more_than_255_classes_keep_their_numbers_and_colours(tmp_path):
    scene = scene_with([f"class {number}" for number in range(1, 301)], (20, 20))
    class_map = scene.labels.astype(np.uint16)
    write_map(tmp_path / "map", class_map, scene, beside_truth=True)
    assert np.load(tmp_path / "map.npy").max() == 300
    picture = np.asarray(Image.open(tmp_path / "map.png"))
    np.testing.assert_array_equal(picture, rgb(scene)[class_map])
    image = spectral.open_image(str(tmp_path / "map.hdr"))
    np.testing.assert_array_equal(np.asarray(image.open_memmap())[..., 0], class_map)


def test_names_that_envi_lists_cannot_hold_stay_one_name_each(tmp_path):
    scene = scene_with(["corn, no till", "{built}", "pré"])
    write_map(tmp_path / "map", scene.labels.astype(np.uint8), scene, beside_truth=True)
    names = spectral.open_image(str(tmp_path / "map.hdr")).metadata["class names"]
    assert names == ["unlabelled", "corn- no till", "(built)", "pré"]


def test_the_comparison_shows_the_map_beside_the_ground_truth(tmp_path):
    scene = scene_with(["corn", "wheat", "woods"])
    class_map = np.full((12, 9), 2, np.uint8)
    write_map(tmp_path / "map", class_map, scene, beside_truth=True)
    page = np.asarray(Image.open(tmp_path / "map_and_truth.png"))
    side = 30  # 12 rows are enlarged to 360 pixels
    cells = page[22 + side // 2 :: side][:12]
    left = cells[:, 16 + side // 2 :: side][:, :9]
    right = cells[:, 16 + 9 * side + 16 + side // 2 :: side][:, :9]
    np.testing.assert_array_equal(left, rgb(scene)[class_map])
    np.testing.assert_array_equal(right, rgb(scene)[scene.labels])


def test_a_map_replaces_an_older_one(tmp_path):
    scene = scene_with(["corn", "wheat"])
    for number in (1, 2):
        write_map(tmp_path / "map", np.full((12, 9), number, np.uint8), scene, beside_truth=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    data = spectral.open_image(str(tmp_path / "map.hdr")).open_memmap()
    assert np.unique(data) == [2]


@pytest.mark.parametrize("blocked", FILES)
def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing_half_done(tmp_path, blocked):
    (tmp_path / blocked).mkdir()
    scene = scene_with(["corn", "wheat"])
    with pytest.raises(InputError, match=f"{blocked}: cannot be written"):
        write_map(tmp_path / "map", scene.labels.astype(np.uint8), scene, beside_truth=True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_map_of_other_pixels_has_no_truth_beside_it(tmp_path):
    scene = scene_with(["corn", "wheat"])
    class_map = np.ones((4, 5), np.uint8)
    written = write_map(tmp_path / "map_other", class_map, scene, beside_truth=False)
    assert sorted(path.name for path in written) == [
        f"map_other.{end}" for end in ("hdr", "img", "npy", "png")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in written)


def test_an_unfinished_map_is_resumed_only_for_the_same_key(tmp_path):
    stem = tmp_path / "map"

    def fill(key: str, row: int, fail: bool) -> list[int]:
        with unfinished_map(stem, (3, 2), np.uint8, key) as class_map:
            before = class_map[:, 0].tolist()
            class_map[row] = row + 1
            if fail:
                raise KeyboardInterrupt
        return before

    with pytest.raises(KeyboardInterrupt):
        fill("a", 0, fail=True)
    with pytest.raises(KeyboardInterrupt):
        fill("a", 1, fail=True)
    assert fill("a", 2, fail=False) == [1, 2, 0]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        fill("a", 0, fail=True)
    assert fill("b", 1, fail=False) == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_map_is_as_narrow_as_its_classes_allow(tmp_path):
    for classes, dtype in ((255, np.uint8), (256, np.uint16)):
        with unfinished_map(tmp_path / "map", (3, 2), class_type(classes), "key") as class_map:
            assert class_map.dtype == dtype
