"""Training of a quantized network: the module, its loops, checkpoints, optimizer."""
