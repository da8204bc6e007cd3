"""What trials say together, in numbers: intervals, paired comparisons, corrections, power."""
