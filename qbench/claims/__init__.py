"""The papers' claims, each of which can be checked by a run: the paper's value, the value here, and the verdict."""
