"""Weights and networks trained elsewhere: state dicts, ONNX files, classes in user code."""

from snnquant.importers.key_matching import KeyMap, load_matching
from snnquant.importers.state_dict import load_state_dict

__all__ = ["KeyMap", "load_matching", "load_state_dict"]
