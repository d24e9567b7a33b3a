"""ONNX files as networks of the layers that the conversion knows."""
