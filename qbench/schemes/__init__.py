"""Schemes: how a network is quantized and trained, as values."""
