#!/bin/sh
# Every experiment of the paper: 22 setups (human, rule-based, MLLM; with and without cycle) x 3 datasets x 4 backbones.
# Run it where fixmypose_dataset/, aist_dataset/ and posefix_dataset/ lie; the same command continues after a stop.
#   sh runs/paper.sh --dry-run                   lists the experiments
#   sh runs/paper.sh --only RN50/posefix         runs a part of them
# Results: models/results.csv, .md, .html, with the published values beside ours.
set -e
autocompose sweep "$(dirname "$0")/../configs/paper.toml" "$@"
