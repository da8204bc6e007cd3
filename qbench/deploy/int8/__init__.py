"""A quantized network that computes in integers from the pixels to the scores."""
