from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from snnquant.cli import main
from snnquant.report import RunMetrics, next_steps, print_table


def printed(metrics, **options) -> str:
    stream = io.StringIO()
    print_table(RunMetrics.from_dict(metrics), Console(file=stream, **options))
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
    assert row.split() == ["OA,", "%", "91.23", "85.98", "80.73", "70.23", "98.68"]
    row = next(line for line in lines if line.strip().startswith("paper: over SNN alone"))
    assert row.split()[4:] == ["29.8x", "2.4x", "1.4x", "-", "560.6x,", "44.8x"]
    row = next(line for line in lines if line.strip().startswith("nJ alone: B, time inner"))
    assert row.split()[5:] == ["135,014", "-", "167", "195", "-"]
    row = next(line for line in lines if line.strip().startswith("SNN as converted"))
    assert row.split()[3:] == ["603,579", "331,686", "75.48", "75.59", "75.70"]


def test_a_terminal_gets_emphasis_and_its_own_width(metrics):
    text = printed(metrics, force_terminal=True, width=80, color_system="standard")
    assert "\x1b[1m" in text
    assert "91.23" in text


def test_an_ascii_terminal_can_show_it(metrics):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_table(RunMetrics.from_dict(metrics), Console(file=stream))
    stream.flush()
    assert b"91.23" in stream.buffer.getvalue()


def note(metrics) -> list[str]:
    return [line for line in printed(metrics).splitlines() if "does not" in line]


def test_controls_that_score_above_the_network_stand_under_the_first_table(metrics, trained_only):
    lines = printed(metrics).splitlines()
    (line,) = note(metrics)
    assert lines[lines.index(line) - 1].strip().startswith("paper: over SNN in a map")
    metrics["controls"]["lda"]["oa"] = metrics["snn_trained"]["oa"]
    assert "beat LDA on spectrum and window mean (70.23 %), SVM on" in " ".join(note(metrics))
    for control in ("lda", "svm"):
        metrics["controls"][control]["oa"] = 0.7022
    assert note(metrics) == []
    only = trained_only()
    only["controls"]["svm"]["oa"] = 0.95
    assert note(only) == ["The CNN (OA 91.23 %) does not beat SVM on window mean (95.00 %)."]


@pytest.mark.parametrize("protocol", ["random", "mask", "blocks"])
def test_a_split_that_coordinates_solve_leads_to_blocks(metrics, protocol):
    metrics["split"]["protocol"] = protocol
    metrics["controls"]["coordinates"]["oa"] = 0.9964
    text = printed(metrics)
    assert "does not beat coordinates only (99.64 %)" in text
    assert ("Try --split blocks." in text) == (protocol != "blocks")


@pytest.mark.parametrize(
    "missing",
    [
        *("controls", "pim", "spike_rates", "operations"),
        *("energy_pj", "map_energy_pj", "effort", "map_effort"),
    ],
)
def test_a_missing_part_is_left_out(metrics, missing):
    heads = {
        "controls": "Controls without a network",
        "pim": "First layer",
        "spike_rates": "Spikes per neuron",
        "operations": " MAC  ",
        "energy_pj": "Energy, pJ per pixel classified on its own",
        "map_energy_pj": "Energy, pJ per pixel of a map",
        "effort": "Effort, bit operations per pixel classified on its own",
        "map_effort": "Effort, bit operations per pixel of a map",
    }
    assert heads[missing] in printed(metrics)
    del metrics[missing]
    assert heads[missing] not in printed(metrics)


def test_a_run_with_only_its_first_cnn_has_one_column(trained_only):
    text = printed(trained_only())
    assert "91.23" in text
    assert not any(
        word in text for word in ("SNN as converted", "SNN trained", "CNN 6-bit", "None")
    )
    assert not any(line.strip().startswith("ratio (") for line in text.splitlines())


@pytest.mark.parametrize("scene", ["salinas_a", "my_field"])
def test_a_scene_that_the_paper_lacks_stands_without_the_paper(metrics, scene):
    metrics["scene"]["name"] = scene
    text = printed(metrics)
    assert not any(word in text for word in ("ACE-SNN", "98.68", "560.6x", "Datta", "1.43x"))
    assert "1.84x" in text


@pytest.mark.parametrize(
    ("scene", "scores"),
    [
        ("indian_pines", ["98.68", "98.34", "98.20"]),
        ("pavia_university", ["99.50", "-", "-"]),
        ("salinas", ["97.95", "-", "-"]),
    ],
)
def test_a_scene_of_the_paper_stands_beside_its_scores(metrics, scene, scores):
    metrics["scene"]["name"] = scene
    lines = [line.split() for line in printed(metrics).splitlines()]
    rows = {line[0]: line for line in lines if line}
    assert [rows[label][-1] for label in ("OA,", "AA,", "kappa,")] == scores


def test_names_are_printed_as_they_are(metrics):
    metrics["scene"]["name"] = "[bold]field[/bold]"
    assert "[bold]field[/bold]" in printed(metrics)


@pytest.fixture
def program(tmp_path):
    file = tmp_path / "my venv" / "bin" / "snnquant"
    file.parent.mkdir(parents=True)
    file.touch(mode=0o755)
    return file


def commands(program) -> list[str]:
    text = next_steps(Path("runs/mine"), program)
    assert text.splitlines()[:3] == [
        "map:    runs/mine/map_and_truth.png",
        "report: runs/mine/report.html",
        "next:",
    ]
    return [line.removeprefix("  ") for line in text.splitlines()[3:]]


def test_the_next_commands_name_the_program_that_the_search_path_has(program, monkeypatch):
    monkeypatch.setenv("PATH", str(program.parent))
    assert commands(program) == [
        "snnquant energy runs/mine",
        "snnquant evaluate runs/mine --early-exit",
        "snnquant export runs/mine --format onnx --output runs/mine/snn.onnx",
    ]


@pytest.mark.parametrize("other", [False, True])
def test_a_program_off_the_search_path_is_named_with_its_folder(
    program, monkeypatch, tmp_path, other
):
    folder = tmp_path / "other"
    folder.mkdir()
    if other:
        (folder / "snnquant").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.chdir(tmp_path)
    words = [shlex.split(command)[0] for command in commands(program)]
    assert words == ["my venv/bin/snnquant"] * 3
    monkeypatch.chdir(folder)
    words = [shlex.split(command)[0] for command in commands(program)]
    assert words == [str(program)] * 3


def test_the_next_commands_are_commands(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    for command in commands(Path("snnquant")):
        with pytest.raises(SystemExit) as stop:
            main(shlex.split(command)[1:])
        assert stop.value.code == 2
        assert "runs/mine" in capsys.readouterr().err
