"""One trial: its configuration, identity, run, evaluation and record."""
