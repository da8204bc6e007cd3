"""Each figure of the papers as a claim that can be run: the paper's value, the value here, the verdict."""
