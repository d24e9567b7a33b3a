"""`snnquant compare`: networks of runs on the test pixels that they share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from snnquant.cli import main
from snnquant.cli.compare import Columns
from snnquant.pipeline.comparing import Answered, compare_pair, compare_runs
from snnquant.report import RunMetrics
from snnquant.report.compared_runs import Column, Compared
from snnquant.stored_networks import Network

Finished = tuple[Path, RunMetrics]
NAMES = {1: "1 a", 2: "2 b"}


def test_scores_and_energies_are_those_of_the_run(finished: Finished) -> None:
    folder, metrics = finished
    found, pictures = compare_runs([folder], list(Network))
    assert {row.network for row in found.networks} == set(Network)
    assert len(found.pairs) == len(pictures) == 10
    rival = metrics.rival
    assert rival is not None
    for row in found.networks:
        network = Network.of(row.network)
        scores = metrics.networks[network]
        assert (row.oa, row.aa, row.kappa) == (scores.oa, scores.aa, scores.kappa)
        assert row.test_pixels == metrics.split.test
        compute = metrics.energy_pj["horowitz_widths"][network] / 1000
        assert row.compute_only_nj == compute
        if network is Network.SNN_CONVERTED:
            assert row.energy is None
            continue
        energy = row.energy
        assert energy is not None
        assert energy.total_nj == pytest.approx(rival.energy_nj["best"][network])
        parts = energy.memory_nj, energy.compute_nj, energy.transfer_nj
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(energy.total_nj)
    sizes = {row.network: row.energy.weight_bytes for row in found.networks if row.energy}
    assert sizes["cnn_fp32"] == pytest.approx(sizes["snn_trained"] * 32 / metrics.model.bits)


def test_counts_of_a_pair_are_those_of_the_confusions(finished: Finished) -> None:
    folder, metrics = finished
    found, _ = compare_runs([folder], [Network.CNN_FP32, Network.SNN_TRAINED])
    (pair,) = found.pairs
    test = pair.test
    assert test is not None
    assert pair.remark is None
    assert pair.common == test.pixels == metrics.split.test
    right = test.both_right + test.first_only, test.both_right + test.second_only
    accuracies = metrics.networks[Network.CNN_FP32].oa, metrics.networks[Network.SNN_TRAINED].oa
    assert tuple(n / pair.common for n in right) == pytest.approx(accuracies)


def test_a_copy_differs_in_nothing(finished: Finished, tmp_path: Path) -> None:
    folder, _ = finished
    shutil.copytree(folder, tmp_path / "copy")
    found, _ = compare_runs([folder, tmp_path / "copy"])
    (pair,) = found.pairs
    assert pair.test is not None
    assert (pair.test.first_only, pair.test.second_only, pair.test.p) == (0, 0, 1.0)
    assert [row.dominated_by for row in found.networks] == [(), ()]


def test_another_chip_prices_all(finished: Finished) -> None:
    networks = [Network.CNN_FP32, Network.SNN_TRAINED]
    own, _ = compare_runs([finished[0]], networks)
    other, _ = compare_runs([finished[0]], networks, chip="edge_65nm")
    for mine, theirs in zip(own.networks, other.networks, strict=True):
        assert mine.energy is not None
        assert theirs.energy is not None
        assert (mine.oa, theirs.energy.chip) == (theirs.oa, "edge_65nm")


def answered(number: int, pixels: list[int], right: list[bool], digest: str = "d") -> Answered:
    row = Compared(number, f"r{number}", "snn_trained", "field", "random 0", 9, 0.5, 0.5, 0.5)
    return Answered(row, digest, (2, 4), np.array(pixels), np.array(right))


def test_only_common_test_pixels_are_compared() -> None:
    first = answered(1, [0, 2, 5], [True, False, True])
    second = answered(2, [2, 3, 5, 7], [True, True, True, False])
    pair, picture = compare_pair(first, second, NAMES)
    assert pair.test is not None
    assert picture is not None
    assert (pair.common, pair.test.both_right, pair.test.second_only) == (2, 1, 1)
    assert pair.remark is not None
    assert "only the 2 that both runs test are compared, of 3 and 4" in pair.remark


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (answered(2, [1, 3], [True, True]), "share no test pixel"),
        (answered(2, [0, 2], [True, True], digest="e"), "scenes or their classes differ"),
    ],
)
def test_a_test_is_refused_where_pixels_differ(second: Answered, reason: str) -> None:
    pair, picture = compare_pair(answered(1, [0, 2], [True, False]), second, NAMES)
    assert (pair.test, pair.common, picture) == (None, 0, None)
    assert pair.remark is not None
    assert reason in pair.remark


# --- the command ---------------------------------------------------------------------------------


def test_the_command_sorts_by_every_column() -> None:
    assert Columns == Column


BOTH = ["--network", "cnn_fp32", "--network", "snn_trained"]


def test_json_is_one_object(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps, page = tmp_path / "maps", tmp_path / "page.html"
    options = ["--json", "--sort", "energy", "--maps", str(maps), "--html", str(page)]
    main(["compare", str(finished[0]), *BOTH, *options])
    found = json.loads(capsys.readouterr().out)
    energies = [row["energy"]["total_nj"] for row in found["networks"]]
    assert energies == sorted(energies)
    (pair,) = found["pairs"]
    assert Path(pair["difference_map"]) == maps / "difference_1_2.png"
    assert (maps / "difference_1_2.png").read_bytes()[1:4] == b"PNG"
    assert "data:image/png" in page.read_text(encoding="utf-8")


def test_text_has_the_tables(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", str(finished[0]), *BOTH])
    out, _ = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= max(100, len(str(finished[0])) + 20)
    for words in ("OA, %", "Paired test", "weights, bytes", f"1: {finished[0]}, cnn_fp32"):
        assert words in out


def _refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    out, err = capsys.readouterr()
    last = [line for line in err.splitlines() if line.startswith("snnquant: ")]
    assert (stop.value.code, out, len(last)) == (2, "", 1)
    return last[0]


def test_wrong_input_is_refused(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(finished[0])
    assert "found 1 network, expected at least 2" in _refused(["compare", folder], capsys)
    assert "found 0 network" in _refused(["compare"], capsys)
    assert "found twice" in _refused(["compare", folder, folder], capsys)
    missing = ["compare", folder, str(tmp_path / "none")]
    assert "no such folder" in _refused(missing, capsys)
    assert "--sort" in _refused(["compare", folder, *BOTH, "--sort", "colour"], capsys).lower()
    assert "chip" in _refused(["compare", folder, *BOTH, "--chip", "none"], capsys)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"schema": 99}'])
def test_runs_without_scores_are_refused(
    finished: Finished,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    (copy / "metrics.json").unlink()
    if content is not None:
        (copy / "metrics.json").write_text(content)
    assert "metrics.json" in _refused(["compare", str(copy), *BOTH], capsys)


def test_a_network_that_a_run_lacks_is_refused(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    (copy / Network.CNN_FP32.file).unlink()
    assert "found no cnn_fp32" in _refused(["compare", str(copy), *BOTH], capsys)
