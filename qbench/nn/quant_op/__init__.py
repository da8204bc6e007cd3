"""The arithmetic of one layer in one pair of number formats: packing, execution, cost."""
