"""Weights and networks trained elsewhere: state dicts, ONNX files, classes in user code."""

from snnquant.importers.key_matching import KeyMap, load_matching
from snnquant.importers.onnx.reader import OnnxCNN, read_onnx
from snnquant.importers.state_dict import load_state_dict
from snnquant.importers.user_code import build_from_code

__all__ = [
    "KeyMap",
    "OnnxCNN",
    "build_from_code",
    "load_matching",
    "load_state_dict",
    "read_onnx",
]
