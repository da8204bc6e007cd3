"""Quantizable layers, the QuantOps that compute them, and models."""
