"""A quantized network as an ONNX file."""
