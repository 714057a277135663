"""Stage 2 of the paper: train the Combiner. Options: --help."""

import sys

from autocompose.paper.commands import combiner_train

if __name__ == "__main__":
    sys.exit(combiner_train())
