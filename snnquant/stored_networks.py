"""The networks that a run keeps: the only list of their keys, files, stages and headings.

Torch is not imported here, so that the command line can offer the keys as choices.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from snnquant.errors import InputError


def twin_activation_bits(time_steps: int) -> int:
    """Return the bits of activations that tell apart 0 to T spikes, ceil(log2(T + 1)).

    >>> [twin_activation_bits(steps) for steps in (1, 2, 3, 5, 8)]
    [1, 2, 2, 3, 4]
    """
    return time_steps.bit_length()


class Network(StrEnum):
    """A network that a run keeps; its value is its key in metrics.json and after `--network`.

    >>> Network.SNN_TRAINED.value, Network.SNN_TRAINED.file, Network.SNN_TRAINED.subcommand
    ('snn_trained', 'snn.safetensors', 'finetune')
    >>> [network.value for network in Network]
    ['cnn_fp32', 'cnn_quantized', 'cnn_twin', 'snn_converted', 'snn_trained']
    """

    file: str
    """Name of its checkpoint in the run folder."""
    stage: str
    """Stage that makes it, as history.csv and the progress lines call it."""
    subcommand: str
    """Subcommand of `snnquant` that makes it."""
    heading: str
    """Heading of its column in a table of several runs."""

    CNN_FP32 = "cnn_fp32", "cnn.safetensors", "cnn", "train", "CNN 32-bit"
    CNN_QUANTIZED = (
        *("cnn_quantized", "cnn_quantized.safetensors", "cnn_quantized"),
        *("train", "CNN quantized"),
    )
    CNN_TWIN = "cnn_twin", "cnn_twin.safetensors", "cnn_twin", "finetune", "CNN twin"
    """The CNN with as many levels per activation as T spikes tell apart, trained like the SNN."""
    SNN_CONVERTED = (
        *("snn_converted", "snn_converted.safetensors", "conversion"),
        *("convert", "SNN as converted"),
    )
    SNN_TRAINED = "snn_trained", "snn.safetensors", "snn", "finetune", "SNN trained"

    def __new__(cls, key: str, file: str, stage: str, subcommand: str, heading: str) -> Self:
        """Make a member from its key and what goes with it."""
        member = str.__new__(cls, key)
        member._value_ = key
        member.file, member.stage = file, stage
        member.subcommand, member.heading = subcommand, heading
        return member

    @classmethod
    def of(cls, key: str) -> Network:
        """Return the network of a key; raise InputError that lists the keys for any other text."""
        for network in cls:
            if network == key:
                return network
        raise InputError(f"network: found {key!r}, expected one of {', '.join(cls)}")

    @property
    def spiking(self) -> bool:
        """True for an SNN."""
        return self in (Network.SNN_CONVERTED, Network.SNN_TRAINED)

    def heading_of(self, bits: int, time_steps: int, activation_bits: int = 32) -> str:
        """Return its heading in a table of one run, with bits and time steps.

        >>> Network.CNN_QUANTIZED.heading_of(6, 5, activation_bits=3)
        'CNN W6A3'
        >>> Network.CNN_TWIN.heading_of(6, 5)
        'CNN twin, W6A3'
        """
        if self is Network.CNN_TWIN:
            return f"{self.heading}, W{bits}A{twin_activation_bits(time_steps)}"
        if self is Network.CNN_QUANTIZED:
            return f"CNN {bits}-bit" if activation_bits == 32 else f"CNN W{bits}A{activation_bits}"
        if self is Network.SNN_TRAINED:
            return f"{self.heading}, {bits}-bit, T = {time_steps}"
        return self.heading
