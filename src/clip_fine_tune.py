"""Stage 1 of the paper: fine-tune CLIP. Options: --help."""

import sys

from autocompose.paper.commands import clip_fine_tune

if __name__ == "__main__":
    sys.exit(clip_fine_tune())
