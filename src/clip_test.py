"""Evaluate a fine-tuned CLIP. Options: --help."""

import sys

from autocompose.paper.commands import clip_test

if __name__ == "__main__":
    sys.exit(clip_test())
