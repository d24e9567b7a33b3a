"""Laws of analog-to-digital converters that other tools published: energy and time."""

from __future__ import annotations

import math

import numpy as np

_ZIGZAG_NODE_NM = 28.0


def accelergy_energy_pj(bits: float, node_nm: float, rate_hz: float) -> float:
    """Return the energy of a conversion in pJ after the Accelergy fit to the best of the survey.

    Few converters of 8 bits and more lie below it; of 4 to 6 bits at 65 nm most do.

    With SNDR = 20 log10(2) bits + 10 log10(1.5) dB and the figure of merit
    FOMS = min(213.78 - 2.872 ln rate, 128.31 + 3.2205 bits) dB,

    E = exp(26.05 + 1.880 ln node - 2.829 ln bits - 1.470) / (2 * 10^((FOMS - SNDR) / 10)).

    Constants: hwcomponents_adc/adc_data/model.yaml of hwcomponents-adc 1.0.21 (MIT), node in nm.
    The cap in bits holds up to about 10 GHz at 6 bits, so slower converters cost no less.
    """
    sndr_db = 20 * math.log10(2) * bits + 10 * math.log10(1.5)
    by_rate_db = 213.7806687348118 - 2.8719030399529957 * np.log(rate_hz)
    by_bits_db = 128.3068287398817 + 3.2205115109774 * bits
    foms_db = np.minimum(by_rate_db, by_bits_db)
    correction = (
        26.0496215686518
        + 1.8800369206815004 * math.log(node_nm)
        - 2.8291256050594527 * np.log(bits)
        - 1.4702022133784405
    )
    energy_pj: float = np.exp(correction - (foms_db - sndr_db) / 10 * math.log(10)) / 2
    return energy_pj


def zigzag_time_ns(bits: int, node_nm: float, shared_columns: int) -> float:
    """Return the time of a conversion in ns after ZigZag's law for in-memory converters.

    t = bits * (0.00653 * cells + 0.640) ns at 28 nm, where ``cells`` hang on the sensed line; here
    these are the columns that share their charge. Other nodes follow constant-field scaling, delay
    proportional to the node (Dennard et al., JSSC 1974): t * node / 28.
    """
    return bits * (0.00653 * shared_columns + 0.640) * node_nm / _ZIGZAG_NODE_NM
