"""Cards of the package are sound; a wrong key or value is named."""

import pytest

from snnquant.errors import InputError
from snnquant.scenes import known
from snnquant.scenes.known import cards_folder, known_scenes, load_card

KNOWN = ["indian_pines", "pavia_university", "pavia_university_subset", "salinas", "salinas_a"]


def test_the_known_scenes():
    assert known_scenes() == KNOWN


@pytest.mark.parametrize("name", KNOWN)
def test_cards_of_the_package_are_complete(name):
    card = load_card(name)
    assert card.shape is not None
    assert card.licence
    assert card.citation
    assert card.sensor
    masks = () if card.mask is None else (card.mask.train, card.mask.test)
    for entry in (card.cube, card.labels, *masks):
        assert entry is None or entry.sha256
    colours = [entry.colour for entry in card.classes]
    assert len(set(colours)) == len(colours)


def test_class_numbers_of_the_crops():
    assert load_card("salinas_a").label_values == (1, 10, 11, 12, 13, 14)
    assert load_card("pavia_university_subset").label_values == (1, 2, 4, 5, 6, 7, 8, 9)
    whole = {entry.label: entry for entry in load_card("pavia_university").classes}
    for entry in load_card("pavia_university_subset").classes:
        assert entry == whole[entry.label]


def test_the_folder_of_cards_holds_no_python():
    assert not list(cards_folder().rglob("*.py"))


def test_a_wheel_carries_the_cards_inside_the_package(tmp_path, monkeypatch):
    (tmp_path / "snnquant" / "datasets").mkdir(parents=True)
    (tmp_path / "snnquant" / "datasets" / "moon.toml").touch()
    inside = tmp_path / "snnquant" / "scenes" / "known.py"
    monkeypatch.setattr(known, "__file__", str(inside))
    assert known_scenes() == ["moon"]


def test_a_minimal_card(make_card):
    card = load_card(make_card())
    assert card.name == card.title == "field"
    assert card.label_values == (3, 7)
    assert card.classes[0].colour == "#1f77b4"
    assert card.classes[1].colour == "#00ff00"


def test_labels_count_up_when_left_out(make_card, card_text):
    text = card_text.replace("label = 3\n", "").replace("label = 7\n", "")
    assert load_card(make_card(text)).label_values == (1, 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[cube]", "speed = 3\n[cube]", "speed: found an unknown key, expected one of title"),
        ('file = "cube', 'varable = "x"\nfile = "cube', "cube.varable: found an unknown key"),
        ("label = 3", "lable = 3", "classes.0.lable: found an unknown key"),
        ("[labels]", "[gt]", "gt: found an unknown key"),
        ('[labels]\nfile = "labels.npy"', "", "labels: found nothing, expected a table"),
        ('file = "cube.npy"', "", "cube.file: found nothing, expected a text"),
        ('file = "cube.npy"', "file = 3", "cube.file: found 3, expected a text"),
        ('file = "cube.npy"', 'file = ""', "cube.file: found '', expected a text"),
        ("label = 3", "label = true", "classes.0.label: found True, expected an integer"),
        ("label = 3", "label = 0", "classes.0.label: found 0, expected 1 or more"),
        ("label = 7", "label = 3", "classes.1.label: found 3 twice"),
        ('name = "barley"', 'name = "maize"', "classes.1.name: found 'maize' twice"),
        ('name = "barley"', "", "classes.1.name: found nothing"),
        ('"#00ff00"', '"green"', "classes.1.colour: found 'green'"),
        ("[cube]", "shape = [1, 2]\n[cube]", r"shape: found \[1, 2\]"),
        ("[cube]", "shape = [1, 2, 0]\n[cube]", r"shape: found \[1, 2, 0\]"),
        ("[cube]", "shape = [1, 2, 'x']\n[cube]", "shape.2: found 'x', expected an integer"),
        ("[cube]", "[mask]\n[cube]", "mask.train: found nothing, expected a table"),
        ("[cube]", "[mask]\noffset=[1]\ntrain.file='a'\n[cube]", r"mask.offset: found \[1\]"),
        ("[cube]", "[wavelengths]\n[cube]", "wavelengths.source: found nothing"),
        ("[cube]", "[wavelengths]\nsource='x'\n[cube]", "values_nm: found neither"),
        ("[cube]", "[wavelengths]\nsource='x'\nstart_nm=4\n[cube]", "values_nm: found start_nm"),
        ("[cube]", "[wavelengths]\nsource='x'\nvalues_nm=[nan]\n[cube]", "out of range"),
        ("[labels]", 'sha256 = "abc"\n[labels]', "cube.sha256: found 'abc', expected 64"),
        ("[labels]", 'url = "ftp://a/b"\n[labels]', "cube.url: found 'ftp://a/b'"),
        ("[labels]", 'url = "http://a/b"\n[labels]', "cube.sha256: found nothing"),
        ("[cube]", "[cube", "expected a readable TOML file"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_card(make_card, card_text, old, new, message):
    assert old in card_text
    path = make_card(card_text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        load_card(path)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


def test_a_card_without_classes(make_card, card_text):
    with pytest.raises(InputError, match="classes: found none"):
        load_card(make_card(card_text[: card_text.index("[[classes]]")]))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"[" * 100_000])
def test_a_card_that_is_not_text_or_nested_too_deep(tmp_path, content):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.toml: .*expected a readable TOML file"):
        load_card(str(tmp_path / "a.toml"))


def test_unknown_scenes_are_answered_with_the_known():
    with pytest.raises(InputError, match=r"did you mean salinas\?.*indian_pines.*synthetic:"):
        load_card("salina")
    with pytest.raises(InputError, match=r"nowhere\.toml: found no such file"):
        load_card("nowhere.toml")
    with pytest.raises(InputError, match="synthetic:8x8x8: found a synthetic scene, expected a"):
        load_card("synthetic:8x8x8")
