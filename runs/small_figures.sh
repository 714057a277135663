#!/bin/sh
# Figures and ablation of small-v2 over three seeds, from the folder that runs/small.sh has made.
#
#   sh runs/small_figures.sh FOLDER
#
# The image side is trained once; the seeds decide all after it. FOLDER/figures gets PART.json for both halves of the
# validation part and the test part, FOLDER/ablation the cells and results.json. About three hours on one idle core, and
# goes on where it was interrupted.
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
models="$1/model"
for seed in 1 2; do
    python -m autocompose.train.poses.fit "$1/scenes" "$1/cubes" "$1/model-$seed" --seed "$seed"
    models="$models $1/model-$seed"
done
for part in val-first val-second; do python -m autocompose.train.poses.parts "$1/scenes" "$part"; done
fit=--fit # of the fusion's weight, with seed 0, on the first part alone
for part in val-first val-second test; do # shellcheck disable=SC2086 # the models are words
    python -m autocompose.train.poses.figures "$1/scenes" "$1/figures" "$part" $models $fit
    fit=
done
python -m autocompose.train.poses.ablation "$1/scenes" "$1/cubes" "$1/ablation"
