"""Integer engine: fixed-point tables of a quantized network and the loops that run them."""

from snnquant.io import require_extra

require_extra("integer", "numba")
