"""How the command ends."""

DONE = 0
FAILED = 1
"""A trial failed (the rest finished), or predictions that should be equal differ."""
BAD_INPUT = 2
INTERRUPTED = 130
"""By Ctrl-C, as shells count it: 128 and the number of SIGINT."""
