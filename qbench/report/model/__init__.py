"""The comparison of all trials, as plain values that every renderer shows."""
