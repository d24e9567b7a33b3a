"""Graphs of layers: their wiring, and their form as data; all else is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnquant.conversion.rewriting import rewrite
from snnquant.errors import InputError
from snnquant.nn import INPUT, Graph, GraphNetwork, build_graph
from snnquant.nn.convolutions import Conv3d
from snnquant.nn.wiring import Sum

BANDS, WINDOW = 12, 5
PATCH = (3, 1, BANDS, WINDOW, WINDOW)


class Branches(nn.Module):
    """A residual, a concatenation, a pooling, a permutation and a reshape."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(1, 4, (3, 3, 3), stride=(2, 1, 1), padding=(1, 0, 0))
        self.conv2 = nn.Conv3d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(4)
        self.pool = nn.AvgPool3d((2, 1, 1), stride=1)
        self.side = nn.Conv2d(24, 8, 3, groups=2)
        self.fc = nn.Linear(8 * 9 + 4 * 5 * 9, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv1(x))
        y = torch.relu(self.norm(self.conv2(x)) + x)
        z = torch.relu(nn.functional.pad(self.side(x.flatten(1, 2)), (1, 1, 1, 1)))
        y = self.pool(y).permute(0, 2, 1, 3, 4).reshape(x.shape[0], -1)
        return self.fc(torch.cat([z.flatten(1), y], 1))


def graph_of(module: nn.Module) -> GraphNetwork:
    return rewrite(module, torch.rand(PATCH))[0]


@pytest.fixture(scope="module")
def graph() -> GraphNetwork:
    torch.manual_seed(0)
    return graph_of(Branches().eval())


@pytest.fixture
def rows(graph: GraphNetwork) -> list[dict[str, Any]]:
    return json.loads(json.dumps(graph.describe()))


def test_a_description_builds_the_same_network(graph, rows):
    again = build_graph(rows, BANDS, WINDOW, 10**6)
    again.load_state_dict(graph.state_dict())
    patches = torch.rand(PATCH)
    torch.testing.assert_close(again.eval()(patches), graph(patches), rtol=0, atol=0)
    assert again.describe() == build_graph(rows, BANDS, WINDOW, 10**6).describe()


def test_a_graph_is_read_as_a_graph_again(graph):
    patches = torch.rand(PATCH)
    torch.testing.assert_close(graph_of(graph)(patches), graph(patches))


def test_convolutions_are_those_that_run_fast(rows):
    again = build_graph(rows, BANDS, WINDOW, 10**6)
    assert any(isinstance(layer, Conv3d) for layer in again.layers)


def test_a_weighted_sum_keeps_its_weights():
    layers = {"flat": nn.Flatten(), "total": Sum([0.5, 2.0])}
    graph = GraphNetwork(layers, {"flat": [INPUT], "total": ["flat", "flat"]})
    patches = torch.rand(PATCH)
    torch.testing.assert_close(graph(patches), 2.5 * patches.flatten(1))
    again = build_graph(json.loads(json.dumps(graph.describe())), BANDS, WINDOW, 0)
    torch.testing.assert_close(again(patches), graph(patches))


def test_a_layer_without_a_name_here_is_refused():
    graph = GraphNetwork({"odd": nn.Softplus()}, {"odd": [INPUT]})
    with pytest.raises(InputError, match="layer odd: found Softplus"):
        graph.describe()


def test_a_layer_takes_the_outputs_that_its_inputs_name_else_the_one_before():
    layers = {"first": Sum([0.5]), "second": Sum([2.0]), "total": Sum([1.0, 1.0, -1.0])}
    graph = Graph(layers, {"total": ["first", INPUT, "second"]})
    assert graph.inputs["first"] == (INPUT,)
    assert graph.inputs["second"] == ("first",)
    x = torch.rand(3, 2)
    torch.testing.assert_close(graph(x), 0.5 * x)  # 0.5 x + x - 2 (0.5 x)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"first": ["second"]}, "layer first: found input 'second', expected an earlier layer"),
        ({"second": ["second"]}, "layer second: found input 'second', expected an earlier layer"),
        ({"second": []}, "layer second: found no input, expected an earlier layer"),
        ({"third": ["first"]}, "inputs: found 'third', expected one of the layers"),
    ],
)
def test_inputs_that_are_no_earlier_layers_are_refused(inputs, says):
    with pytest.raises(InputError, match=says):
        Graph({"first": nn.ReLU(), "second": nn.ReLU()}, inputs)


@pytest.mark.parametrize("name", [INPUT, "half", "forward", "a.b"])
def test_reserved_names_of_layers_are_refused(name):
    with pytest.raises(InputError, match=f"layer {name}: found a name that is reserved"):
        Graph({name: nn.ReLU()})


def _row(rows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(row for row in rows if row["kind"] == kind)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.clear(), "found 0 layers"),
        (lambda rows: rows.append(3), "no network (TypeError"),
        (lambda rows: rows[0].pop("kind"), "no network (KeyError"),
        (lambda rows: rows[0].update(kind="Module"), "no network (KeyError"),
        (lambda rows: rows[0].update(kind="eval"), "no network (KeyError"),
        (lambda rows: rows[0].update(settings=3), "no network (AttributeError"),
        (lambda rows: _row(rows, "Conv3d")["settings"].update(shell="id"), "no network (TypeError"),
        (lambda rows: _row(rows, "Conv3d")["settings"].update(groups=0), "no network (ValueError"),
        (lambda rows: rows[0].update(inputs=[]), "expected an earlier layer"),
        (lambda rows: rows[0].update(inputs=["linear"]), "expected an earlier layer"),
        (lambda rows: rows.append(copy.deepcopy(rows[-1])), "expected one per row"),
        (
            lambda rows: _row(rows, "Linear")["settings"].update(out_features=10**12),
            "more parameters",
        ),
        (lambda rows: _row(rows, "Linear")["settings"].update(in_features=9), "does not run"),
        (
            lambda rows: _row(rows, "Conv3d")["settings"].update(padding=[2000, 2000, 2000]),
            "",
        ),
    ],
)
def test_rows_that_are_no_network_are_refused_in_a_line(rows, change, says):
    change(rows)
    with pytest.raises(InputError) as caught:
        build_graph(rows, BANDS, WINDOW, 10**6)
    assert str(caught.value).startswith("graph: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_even_a_list_is_refused():
    for rows in (None, 3, "rows", {"name": "x"}):
        with pytest.raises(InputError, match="graph: "):
            build_graph(rows, BANDS, WINDOW, 10**6)
