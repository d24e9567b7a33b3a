from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import strategies as st

from pim_sim import Hardware, Layer
from pim_sim.cli import main
from pim_sim.hardware import ADC, Array, BitLineArray, Chip, Digital, Memory, with_fields
from pim_sim.network import PRICES
from pim_sim.validation.first_layer import INDIAN_PINES

NEWER = (
    "groups", "dilation", "input_mean", "accumulates", "active_share", "fetched", "membrane_bits",
)  # fmt: skip
"""Fields of a layer that schema 1 does not have."""


def _indian_pines_layer() -> dict[str, object]:
    """Return 20 filters of 3x3x3 on 5x5 pixels of 200 bands at 6 bits, as in schema 1."""
    layer = replace(INDIAN_PINES, weight_bits=6, input_bits=6, time_steps=5)
    table: dict[str, object] = json.loads(json.dumps(asdict(layer)))
    return {name: value for name, value in table.items() if name not in NEWER}


@pytest.fixture
def layer_table() -> dict[str, object]:
    return _indian_pines_layer()


@pytest.fixture
def workload_table(layer_table: dict[str, object]) -> dict[str, object]:
    return {"schema": 1, "name": "indian pines", "layers": [layer_table]}


@pytest.fixture(scope="session")
def conv1() -> Layer:
    return Layer(**_indian_pines_layer())  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def toy() -> Hardware:
    """Return a 2x2 array with round numbers, for sums on paper."""
    return Hardware(
        name="toy",
        description="round numbers",
        node_nm=28,
        memory=Memory(word_bits=4, banks=1, read_energy_pj=1, read_time_ns=1),
        digital=Digital(
            multipliers=2,
            operand_bits=2,
            multiply_energy_pj=4,
            add_energy_pj=1,
            multiply_time_ns=1,
        ),
        engine=BitLineArray(
            array=Array(
                rows=2,
                columns=2,
                weight_bits_per_column=2,
                input_bits_per_step=2,
                functional_read_energy_pj=1,
                functional_read_time_ns=3,
                accumulate_energy_pj=0.5,
                accumulate_time_ns=2,
            ),
            adc=ADC(bits=2, energy_law="stated", time_law="stated", energy_pj=10, time_ns=5),
        ),
    )


@st.composite
def _layers(draw: st.DrawFn) -> Layer:
    kind = draw(st.sampled_from(["conv3d", "conv2d", "conv1d", "linear"]))
    axes = {"conv3d": 3, "conv2d": 2, "conv1d": 1, "linear": 0}[kind]
    channels = draw(st.integers(1, 6))
    groups = draw(st.integers(1, 4)) if axes else 1
    dilation = draw(st.tuples(*[st.integers(1, 3)] * axes))
    kernel = draw(st.tuples(*[st.integers(1, 4)] * axes))
    padding = draw(st.tuples(*[st.integers(0, 2)] * axes))
    extra = draw(st.tuples(*[st.integers(0, 6)] * axes))
    sizes = zip(kernel, dilation, padding, extra, strict=True)
    spatial = [max(1, d * (k - 1) + 1 - 2 * p) + e for k, d, p, e in sizes]
    return Layer(
        name=draw(st.text(st.characters(categories=("L", "N")), min_size=1)),
        kind=kind,  # type: ignore[arg-type]
        input_shape=(channels * groups, *spatial),
        weight_shape=(groups * draw(st.integers(1, 30)), channels, *kernel),
        stride=draw(st.tuples(*[st.integers(1, 3)] * axes)),
        padding=padding,
        weight_bits=draw(st.integers(1, 12)),
        input_bits=draw(st.integers(1, 12)),
        signed=draw(st.booleans()),
        time_steps=draw(st.integers(1, 10)),
        input_density=draw(st.floats(0, 1)),
        repeats_input=draw(st.booleans()),
        groups=groups,
        dilation=dilation,
        active_share=draw(st.none() | st.floats(0, 1)),
        fetched=draw(st.none() | st.floats(0, 1e6)),
    )


@pytest.fixture(scope="session")
def layers() -> st.SearchStrategy[Layer]:
    """Strategy of small layers of any geometry."""
    return _layers()


@pytest.fixture
def one_line_refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `pim-sim` on wrong input; return its one line on stderr, with exit code 2."""

    def refused(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        output, line = capsys.readouterr()
        assert stop.value.code == 2
        assert output == ""
        assert line.startswith("pim-sim: ")
        assert line.endswith("\n")
        assert line.count("\n") == 1
        return line

    return refused


@pytest.fixture(scope="session")
def chip_with() -> Callable[[Chip, dict[str, Any]], Chip]:
    """Change fields of a chip as `price_designs` does: moved first, then priced."""

    def changed(chip: Chip, fields: dict[str, Any]) -> Chip:
        prices = {name: value for name, value in fields.items() if name in PRICES}
        others = {name: value for name, value in fields.items() if name not in PRICES}
        moves = {
            name: float(others.pop(name)) for name in ("supply_v", "node_nm") if name in others
        }
        chip = with_fields(chip, [f"{name}={value}" for name, value in others.items()])
        return with_fields(
            chip.moved(**moves), [f"{name}={value}" for name, value in prices.items()]
        )

    return changed
