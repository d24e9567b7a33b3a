"""The integer engine: fixed-point weights, tables, compiled kernels."""
