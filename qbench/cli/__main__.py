"""`python -m qbench.cli`: the command line without its script."""

from qbench.cli.app import main

main()
