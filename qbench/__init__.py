"""qbench compares number formats for neural networks on the same data, budget and seeds."""

from importlib.metadata import version

__version__ = version("qbench")
