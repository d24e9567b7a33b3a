"""Claims of improvement: the factors that energy, delay and EDP must reach.

"Better by 30 %" has two readings: as a factor it is 1.3 times less, as a saving 30 % less. A claim
by name (`claims.toml`) is read both ways; one in factors has a single reading.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pim_sim.errors import InputError
from pim_sim.schema import refuse, shown

DEFAULT_CLAIM = "ace_snn"
_FILE = Path(__file__).with_name("claims.toml")
_QUANTITIES = ("energy", "delay", "edp")


@dataclass(frozen=True)
class Claim:
    """One reading of a claim.

    >>> factors, savings = parse_claim("ace_snn")
    >>> factors.factors["energy"], round(savings.factors["energy"], 2)
    (1.3, 1.43)
    """

    title: str
    """Name for texts."""
    reading: str
    """``factors``: 30 % better is 1.3 times less. ``savings``: it is 30 % less."""
    factors: Mapping[str, float]
    """Factors, digital over in memory, to reach; of energy, delay and EDP or some of them."""


def parse_claim(text: str) -> tuple[Claim, ...]:
    """Return the readings of a claim: a name of `claims.toml`, or ``energy=1.30,delay=1.07``.

    Raises `InputError` for an unknown name or quantity, or a factor that is no positive number.
    """
    if "=" not in text:
        known = _known_claims()
        if text not in known:
            expected = f"energy=FACTOR,delay=FACTOR,edp=FACTOR or one of {', '.join(known)}"
            raise refuse("--claim", text, expected)
        return _both_readings(known[text])
    factors: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name.strip() not in _QUANTITIES or name.strip() in factors:
            raise refuse("--claim", name.strip(), f"each of {', '.join(_QUANTITIES)} at most once")
        factors[name.strip()] = _factor(name.strip(), value)
    return (Claim("claim", "factors", factors),)


@functools.cache
def _known_claims() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def _both_readings(entry: dict[str, Any]) -> tuple[Claim, Claim]:
    shares = {name: percent / 100 for name, percent in entry["percent"].items()}
    return (
        Claim(entry["title"], "factors", {name: 1 + share for name, share in shares.items()}),
        Claim(entry["title"], "savings", {name: 1 / (1 - share) for name, share in shares.items()}),
    )


def _factor(name: str, text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1e6:
        raise InputError(f"--claim {name}: found {shown(text)}, expected a factor such as 1.30")
    return factor
