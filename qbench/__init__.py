"""qbench compares number formats for neural networks on the same data, budget and seeds."""
