"""What the trials of a sweep say together: figures with intervals, the comparison, its renderers."""
