"""Study: the sharpness of the loss under full-batch gradient descent, in floats, bits and spikes.

    python scripts/study/edge_of_stability.py [--rows "tanh, rate 0.4" ...] [--seeds 0 1 2]

Cohen et al. (arXiv 2103.00065): the largest eigenvalue of the loss's Hessian rises to 2 / rate,
(2 + 2 m) / rate with momentum m, and hovers just above it, while the loss no longer falls in every
step. Here a network 64-64-64-10 learns 500 of scikit-learn's digits by half the squared error.

- tanh: the Hessian itself, by Lanczos iteration (`scipy.sparse.linalg.eigsh`) on its products
  with vectors.
- W8, W4: straight-through weights of so many bits; the Hessian is that at the quantized weights.
- spiking: the loss is constant between jumps and has no useful Hessian. What is measured are finite
  differences of coarse gradients, those that the surrogate gives: the largest real part of the
  eigenvalues of their Jacobian, which need not be symmetric.

Every row and seed is kept in docs/results/methods/edge_of_stability.jsonl, not computed again.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigs, eigsh
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from snnquant.config import QuantizationConfig
from snnquant.quantization import freeze, quantize
from snnquant.spiking import LIF, SpikingNetwork, Surrogate

sys.path.insert(0, str(Path(__file__).parent))
from digits import Images, digits
from records import Records

FILE = Path("docs/results/methods/edge_of_stability.jsonl")
SAMPLES = 500
TOLERANCE = 1e-2
"""Relative tolerance of an eigenvalue."""
STEPS_OF_SNN = 4
Vector = NDArray[np.float64]
Product = Callable[[Tensor], Tensor]
"""Maps a direction [P] to the change of the gradient [P] along it."""


@dataclass(frozen=True)
class Row:
    """Training whose sharpness is followed."""

    name: str
    kind: str = "tanh"
    rate: float = 0.4
    momentum: float = 0.0
    bits: int = 32
    steps: int = 1500
    surrogate: str = ""
    difference: float = 0.0
    """Length of a finite difference over the norm of the weights; 0 for exact products."""

    @property
    def edge(self) -> float:
        """Sharpness beyond which descent on a quadratic diverges."""
        return (2 + 2 * self.momentum) / self.rate


ROWS = (
    Row("tanh, rate 0.4"),
    Row("tanh, rate 0.8", rate=0.8),
    Row("tanh, rate 0.6, momentum 0.5", rate=0.6, momentum=0.5),
    Row("tanh, W8, rate 0.4", bits=8),
    Row("tanh, W4, rate 0.4", bits=4),
    *(
        Row(f"spiking, {name}, rate 0.4", "spiking", surrogate=name, steps=600, difference=0.02)
        for name in ("triangle", "arctan")
    ),
)


def network(row: Row, seed: int) -> nn.Module:
    """Return a network 64-64-64-10."""
    torch.manual_seed(seed)
    sizes = ((64, 64), (64, 64), (64, 10))
    dense = [nn.Linear(*size) for size in sizes]
    if row.kind == "spiking":
        surrogate = Surrogate.named(row.surrogate, scale=1.0)
        layers: dict[str, nn.Module] = {}
        for i, layer in enumerate(dense[:-1]):
            layers |= {f"dense{i}": layer, f"lif{i}": LIF(threshold=0.5, surrogate=surrogate)}
        made = SpikingNetwork({**layers, "classifier": dense[-1]}, STEPS_OF_SNN)
        for name, parameter in made.named_parameters():
            parameter.requires_grad_(name.endswith(("weight", "bias")))
        return made
    plain = nn.Sequential(dense[0], nn.Tanh(), dense[1], nn.Tanh(), dense[2])
    return quantize(plain, QuantizationConfig(bits=row.bits, activation_bits=32, estimator="ste"))


def centred_digits() -> Images:
    """Return the images, pixels less their means: a mean would be one direction of its own."""
    values, classes = (part[:SAMPLES] for part in digits()[0])
    return Images(values - values.mean(0), classes)


def loss_of(model: nn.Module, images: Images) -> Tensor:
    """Return half the squared error of the one-hot classes, a mean over images."""
    wanted = functional.one_hot(images.classes, 10).float()
    return (model(images.values) - wanted).square().sum(1).mean() / 2


def trained(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are trained."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def gradient(model: nn.Module, images: Images) -> Tensor:
    """Return the gradient [P] of the loss, coarse where the network's is."""
    return parameters_to_vector(torch.autograd.grad(loss_of(model, images), trained(model)))


def hessian_products(model: nn.Module, images: Images) -> Product:
    """Return exact products of the Hessian, by differentiating the gradient."""
    weights = trained(model)
    grads = torch.autograd.grad(loss_of(model, images), weights, create_graph=True)
    flat = parameters_to_vector(grads)

    def product(direction: Tensor) -> Tensor:
        parts = torch.autograd.grad(flat @ direction, weights, retain_graph=True)
        return parameters_to_vector(parts)

    return product


def difference_products(model: nn.Module, images: Images, share: float) -> Product:
    """Return finite differences of the gradient, central, of `share` of the weights' norm."""
    weights = trained(model)
    center = parameters_to_vector(weights).detach()

    def at(point: Tensor) -> Tensor:
        with torch.no_grad():
            vector_to_parameters(point, weights)
        return gradient(model, images)

    def product(direction: Tensor) -> Tensor:
        length = share * center.norm() / direction.norm()
        found = (at(center + length * direction) - at(center - length * direction)) / (2 * length)
        with torch.no_grad():
            vector_to_parameters(center, weights)
        return found

    return product


def largest(product: Product, start: Vector, *, symmetric: bool = True) -> tuple[float, Vector]:
    """Return the largest eigenvalue, or real part of one, and its vector [P].

    Args:
        product: Products of a matrix with a vector.
        start: Vector that the iteration starts from.
        symmetric: Whether the matrix is.
    """

    def multiply(vector: Vector) -> Vector:
        direction = torch.from_numpy(np.ascontiguousarray(vector.ravel(), dtype=np.float32))
        return product(direction).detach().double().numpy()  # type: ignore[no-any-return]

    matrix = LinearOperator((len(start),) * 2, matvec=multiply, dtype=np.float64)
    if symmetric:
        values, vectors = eigsh(matrix, 1, which="LA", v0=start, tol=TOLERANCE)
    else:
        values, vectors = eigs(matrix, 1, which="LR", v0=start, tol=TOLERANCE)
    vector: Vector = np.real(vectors[:, 0])
    return float(np.real(values[0])), vector


def sharpness(model: nn.Module, images: Images, row: Row, start: Vector) -> tuple[float, Vector]:
    """Return the sharpness of a network as its row defines it, and the eigenvector [P]."""
    if row.difference:
        product = difference_products(model, images, row.difference)
        return largest(product, start, symmetric=False)
    quantized = freeze(copy.deepcopy(model))  # the Hessian at the weights that the forward sees
    return largest(hessian_products(quantized, images), start)


def descend(row: Row, seed: int, every: int) -> Iterator[tuple[int, float, float]]:
    """Yield step, loss and, every so many steps, sharpness (else NaN) of a training."""
    model = network(row, seed)
    images = centred_digits()
    optimizer = torch.optim.SGD(trained(model), row.rate, momentum=row.momentum)
    vector = np.random.default_rng(seed).normal(size=sum(p.numel() for p in trained(model)))
    for step in range(row.steps + 1):
        found = float("nan")
        if step % every == 0:
            found, vector = sharpness(model, images, row, vector)
        optimizer.zero_grad()
        loss = loss_of(model, images)
        loss.backward()
        optimizer.step()
        yield step, loss.item(), found


def measure(row: Row, seed: int) -> dict[str, Any]:
    """Return sharpnesses every 50th step, steps in which the loss rose, last loss and seconds."""
    start = time.process_time()
    steps, losses, found = zip(*descend(row, seed, every=50), strict=True)
    at = [step for step, value in zip(steps, found, strict=True) if value == value]
    return {
        "steps": at,
        "sharpness": [found[step] for step in at],
        "rises": sum(later > earlier for earlier, later in pairwise(losses)),
        "loss": losses[-1],
        "seconds": round(time.process_time() - start, 1),
    }


def table(found: dict[Row, list[dict[str, Any]]]) -> str:
    """Return the table in Markdown: means over seeds, ranges over seeds and steps."""
    lines = [
        "| training | edge | at the start | largest | last third, min to max | its mean over the "
        "edge | loss rose, steps | last loss | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, runs in found.items():
        late = [value for run in runs for value in run["sharpness"][-len(run["steps"]) // 3 :]]

        def mean(key: str, runs: list[dict[str, Any]] = runs) -> float:
            return statistics.fmean(run[key] for run in runs)

        first = statistics.fmean(run["sharpness"][0] for run in runs)
        peak = statistics.fmean(max(run["sharpness"]) for run in runs)
        cells = [row.name, f"{row.edge:g}", f"{first:.2f}", f"{peak:.2f}"]
        cells += [f"{min(late):.2f} to {max(late):.2f}"]
        cells += [f"{statistics.fmean(late) / row.edge:.3f}", f"{mean('rises'):.0f} of {row.steps}"]
        cells += [f"{mean('loss'):.4f}", f"{mean('seconds'):.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Compute what is missing and print the table."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", default=names, choices=names, metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    records, found = Records(FILE), dict[Row, list[dict[str, Any]]]()
    for row in (row for row in ROWS if row.name in options.rows):
        for seed in options.seeds:
            name = f"{row.name}, seed {seed}"
            if name not in records:
                records.add(name, measure(row, seed))
            found.setdefault(row, []).append(records.get(name) or {})
    print(table(found))


if __name__ == "__main__":
    main()
