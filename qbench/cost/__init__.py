"""What one inference costs: counts, prices, estimates, and the repetition of filters."""
