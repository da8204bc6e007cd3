"""`python -m qbench`: the command `qbench`."""

from qbench.cli.app import main

if __name__ == "__main__":
    main()
