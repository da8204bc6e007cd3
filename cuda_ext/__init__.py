"""How bits are computed with: raw operations on packed tensors."""
