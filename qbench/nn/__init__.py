"""Layers, QuantOps and models: what computes."""
