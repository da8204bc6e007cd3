"""Kernels and whole networks timed beside torch."""
