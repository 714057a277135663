"""Evaluate a Combiner. Options: --help."""

import sys

from autocompose.paper.commands import combiner_test

if __name__ == "__main__":
    sys.exit(combiner_test())
