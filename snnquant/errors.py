"""The one exception for unusable input, shared with pim_sim."""

from pim_sim.errors import InputError

__all__ = ["InputError"]
