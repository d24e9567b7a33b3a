"""Quantization methods and studies in words, for lists of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from snnquant.config import METHODS
from snnquant.quantization.plan import Plan


@dataclass(frozen=True, kw_only=True)
class MethodSummary:
    """One quantization method in words."""

    name: str
    """Name, as `--quantization` takes it."""
    summary: str
    """One sentence."""
    hooks: tuple[str, ...]
    """Kinds of hook: quantizer, estimator, error, pass, rule, optimizer, cost, study."""
    trains: bool
    """True where the quantized network is trained."""
    cnn: str
    """Quantized on a CNN."""
    snn: str
    """Quantized on an SNN."""
    source: str
    """Publication that it is from."""
    certainty: str
    """Basis of its equations."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def summarise_methods() -> list[MethodSummary]:
    """Return every registered method in words, in the order of registration.

    >>> uniform = summarise_methods()[0]
    >>> uniform.name, uniform.trains, uniform.hooks
    ('uniform', True, ('quantizer', 'estimator'))
    """
    rows = []
    for method in METHODS:
        plan: Plan = method().plan()
        about = method.about
        first = " ".join((method.__doc__ or "").partition("\n\n")[0].split())
        rows.append(
            MethodSummary(
                name=method.method,
                summary=about.summary or first,
                hooks=about.hooks,
                trains=plan.trains,
                cnn=about.cnn,
                snn=about.snn,
                source=about.source,
                certainty=about.certainty,
            )
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """One published claim that a script of the source tree measures, in words."""

    name: str
    """Name of the script in scripts/study, without its ending."""
    summary: str
    """One sentence."""
    used: str
    """Options of a run that the studied part has; empty for none."""
    source: str
    """Publication that the claim is from."""
    certainty: str
    """Basis of its equations."""

    @property
    def command(self) -> str:
        """Command that measures it, in the source tree."""
        return f"python scripts/study/{self.name}.py"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, and the command."""
        return asdict(self) | {"command": self.command}


STUDIES: tuple[StudySummary, ...] = (
    StudySummary(
        name="ste_equivalence",
        summary="A custom gradient estimator is the plain one at another rate and start.",
        used="--estimator",
        source="Schoenbauer, Moro, Lew, Howard 2024 (arXiv 2405.05171)",
        certainty="read in a third party's text",
    ),
    StudySummary(
        name="coarse_gradients",
        summary="Which derivatives may stand in for that of a quantized activation.",
        used="--activation-estimator, --surrogate",
        source="Yin et al. 2019 (arXiv 1903.05662); Long, Yin, Xin 2021 (arXiv 2011.11256)",
        certainty="closed forms checked by Monte Carlo; the second paper's abstract read",
    ),
    StudySummary(
        name="edge_of_stability",
        summary="The sharpness of the loss rises to 2 / rate and hovers there.",
        used="",
        source="Cohen, Kaur, Li, Kolter, Talwalkar, ICLR 2021 (arXiv 2103.00065)",
        certainty="read in the authors' code; straight-through and spiking forms are ours",
    ),
    StudySummary(
        name="proxy_devices",
        summary="Networks that are best for one device are best for others ranked alike.",
        used="",
        source="Lu et al. 2020 (arXiv 2009.00278); Lu et al., SIGMETRICS 2022 (arXiv 2111.01203)",
        certainty="read in the authors' code; designs, devices and the solver are ours",
    ),
    StudySummary(
        name="population",
        summary="Several output neurons per class, whose mean is its score, at few time steps.",
        used="--population",
        source="Sun et al. 2022 (arXiv 2211.10725)",
        certainty="read in the authors' text; the mean in place of the sum is ours",
    ),
)
"""Studies of the source tree whose subject is no quantization method."""
