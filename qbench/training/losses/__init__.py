"""The losses that a recipe names."""
