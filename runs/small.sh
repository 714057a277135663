#!/bin/sh
# Make small-v2 from nothing but the package: renders and lifting network, cubes and texts, composing, bundling.
#
#   sh runs/small.sh FOLDER [SCENES] [CUBES]
#   QUICK=1 sh runs/small.sh FOLDER          every step once at the smallest scale, in minutes; the model is of no use
#
# Takes hours on two cores, and goes on where it was interrupted. SCENES: files of 128 rendered people (default 131);
# CUBES: files of 20 clusters of cubes (default 23). The defaults made the shipped model. FOLDER/lift/lifting.safetensors
# is copied into the package before composing is learnt, because small-v2 sees with it; FOLDER/model becomes the model.
# QUICK works on a copy of the package, FOLDER/package, so that the installed one keeps its weights.
# Afterwards `sh runs/fusion.sh small CORPUS OUT` fits its weight beside the symbolic score: a new model has none.
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
here=$(cd "$(dirname "$0")" && pwd)
scenes=${2:-131} cubes=${3:-23} benchmark= clusters= training=
mkdir -p "$1"
package=$(python -c "import pathlib, autocompose; print(pathlib.Path(autocompose.__file__).parent)")
if [ -n "${QUICK:-}" ]; then
    scenes=2 cubes=1 benchmark=1 clusters=1 training="--epochs 2 --batch 2"
    mkdir -p "$1/package"
    [ -e "$1/package/autocompose" ] || cp -R "$package" "$1/package/"
    PYTHONPATH=$(cd "$1/package" && pwd)
    export PYTHONPATH
    package=$PYTHONPATH/autocompose
fi
# shellcheck disable=SC2086 # the options are words
[ -e "$1/lift/lifting.json" ] || sh "$here/lifting.sh" "$1/scenes" "$1/lift" "$scenes" $benchmark
cp "$1/lift/lifting.safetensors" "$package/estimate/weights/lifting.safetensors"
# shellcheck disable=SC2086
python -m autocompose.train.poses.cubes "$1/cubes" "$cubes" $clusters
# shellcheck disable=SC2086
python -m autocompose.train.poses.fit "$1/scenes" "$1/cubes" "$1/model" $training
python "$here/bundle.py" "$1/model"
