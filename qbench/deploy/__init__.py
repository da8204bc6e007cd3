"""A trained module's chain of layers, in bits, in integers, and as ONNX."""
