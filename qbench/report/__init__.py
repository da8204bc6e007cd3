"""What the trials of a sweep say together: metrics with intervals, the comparison, its renderers."""
