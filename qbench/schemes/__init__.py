"""Schemes: what of a network is quantized how, and how it trains, as values."""
