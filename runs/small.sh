#!/bin/sh
# Make small-v2 from nothing but the package: renders and lifting network, cubes and texts, composing, bundling.
#
#   sh runs/small.sh FOLDER [WIDE] [PLAIN] [PICTURED] [CUBES]
#   QUICK=1 sh runs/small.sh FOLDER          every step once at the smallest scale, in minutes; the model is of no use
#
# Takes hours on two cores, and goes on where it was interrupted. WIDE, PLAIN, PICTURED: files of 128 rendered people (155,
# 96 and 175; see runs/lifting.sh); CUBES: files of 20 clusters of cubes with texts (92). The defaults made the shipped model.
# FOLDER/lift/lifting.safetensors is copied into the package before composing is learnt, because small-v2 sees with it;
# FOLDER/model becomes the model.
# QUICK works on a copy of the package, FOLDER/package, so that the installed one keeps its weights.
# Its weight beside the symbolic score is chosen on the first half of the preset full's validation part (not by QUICK).
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
here=$(cd "$(dirname "$0")" && pwd)
wide=${2:-155} plain=${3:-96} pictured=${4:-175} cubes=${5:-92} benchmark= clusters= training=
mkdir -p "$1"
package=$(python -c "import pathlib, autocompose; print(pathlib.Path(autocompose.__file__).parent)")
if [ -n "${QUICK:-}" ]; then
    wide=1 plain=1 pictured=1 cubes=1 benchmark=1 clusters=1 training="--epochs 2 --batch 2"
    mkdir -p "$1/package"
    [ -e "$1/package/autocompose" ] || cp -R "$package" "$1/package/"
    PYTHONPATH=$(cd "$1/package" && pwd)
    export PYTHONPATH
    package=$PYTHONPATH/autocompose
fi
# shellcheck disable=SC2086 # the options are words
[ -e "$1/lift/lifting.json" ] || sh "$here/lifting.sh" "$1/scenes" "$1/lift" "$wide" "$plain" "$pictured" $benchmark
cp "$1/lift/lifting.safetensors" "$package/estimate/weights/lifting.safetensors"
# shellcheck disable=SC2086
python -m autocompose.train.poses.cubes "$1/cubes" "$cubes" $clusters
# shellcheck disable=SC2086
python -m autocompose.train.poses.fit "$1/scenes" "$1/cubes" "$1/model" $training
if [ -z "${QUICK:-}" ]; then
    python -m autocompose.train.poses.parts "$1/scenes" val-first
    python -m autocompose.train.poses.figures "$1/scenes" "$1/figures" val-first "$1/model" --fit
fi
python "$here/bundle.py" "$1/model"
