"""The optimizers that a recipe names."""
