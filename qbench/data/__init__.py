"""Data sets by name: held in memory, split once, served in batches."""
