"""A trained binary network that computes in bits: packing, the file, execution."""
