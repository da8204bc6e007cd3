"""Data sets by name: whole, in memory, split once, served in batches by indexing."""
