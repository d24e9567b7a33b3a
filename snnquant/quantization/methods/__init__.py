"""Quantization methods of the package, one file each; `snnquant.config.METHODS` imports them."""
