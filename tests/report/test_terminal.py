from __future__ import annotations

import io

import pytest
from rich.console import Console

from snnquant.report import print_table


def printed(metrics, **options) -> str:
    stream = io.StringIO()
    print_table(metrics, Console(file=stream, **options))
    return stream.getvalue()


def test_every_number_is_printed(metrics, shown):
    text = printed(metrics)
    assert [part for part in shown if part not in text] == []
    assert "SNN trained," in text
    assert "6-bit, T = 5" in text


def test_plain_output_is_text_of_at_most_100_columns(metrics):
    text = printed(metrics)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_score_stands_under_its_network(metrics):
    lines = printed(metrics).splitlines()
    row = next(line for line in lines if line.strip().startswith("OA, %"))
    assert row.split() == ["OA,", "%", "91.23", "84.23", "77.23", "70.23", "98.68"]
    row = next(line for line in lines if line.strip().startswith("alone, ratio (ace_snn)"))
    assert row.split()[3:] == ["29.8x", "2.4x", "-", "-", "560.6x,", "44.8x"]


def test_a_terminal_gets_emphasis_and_its_own_width(metrics):
    text = printed(metrics, force_terminal=True, width=70, color_system="standard")
    assert "\x1b[1m" in text
    assert "91.23" in text


def test_an_ascii_terminal_can_show_it(metrics):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_table(metrics, Console(file=stream))
    stream.flush()
    assert b"91.23" in stream.buffer.getvalue()


@pytest.mark.parametrize(
    "missing", ["pim", "spike_rates", "operations", "energy_pj", "map_energy_pj"]
)
def test_a_part_that_is_not_there_is_left_out(metrics, missing):
    heads = {
        "pim": "First layer",
        "spike_rates": "Spikes a neuron",
        "operations": " MAC  ",
        "energy_pj": "alone, pJ (",
        "map_energy_pj": "in a map, pJ (",
    }
    assert heads[missing] in printed(metrics)
    del metrics[missing]
    assert heads[missing] not in printed(metrics)


def test_a_run_of_the_first_cnn_alone_has_one_column(trained_only):
    text = printed(trained_only())
    assert "91.23" in text
    assert not any(
        word in text for word in ("SNN as converted", "SNN trained", "CNN 6-bit", "None")
    )
    assert not any(", ratio (" in line for line in text.splitlines())


def test_a_scene_the_paper_has_not_shows_no_published_accuracy(metrics):
    metrics["scene"]["name"] = "salinas_a"
    text = printed(metrics)
    assert "98.68" not in text
    assert "560.6x" in text


def test_names_are_printed_as_they_are(metrics):
    metrics["scene"]["name"] = "[bold]field[/bold]"
    assert "[bold]field[/bold]" in printed(metrics)
