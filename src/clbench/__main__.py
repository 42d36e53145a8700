"""`python -m clbench`, which launchers of several processes start."""

from clbench.cli.main import entry

if __name__ == "__main__":
    entry()
