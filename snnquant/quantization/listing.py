"""Quantization methods in words, for lists of them."""

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
