#!/bin/sh
# Make small-v2 from nothing but the package: renders and lifting network, cubes and texts, composing, bundling.
#
#   sh runs/small.sh FOLDER [SCENES] [CUBES]
#
# Takes hours on two cores, and goes on where it was interrupted. SCENES: files of 128 rendered people (default 131);
# CUBES: files of 20 clusters of cubes (default 23). The defaults made the shipped model. FOLDER/lift/lifting.safetensors
# is copied into the package before composing is learnt, because small-v2 sees with it; FOLDER/model becomes the model.
# Afterwards `sh runs/fusion.sh small CORPUS OUT` fits its weight beside the symbolic score: a new model has none.
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
here=$(dirname "$0")
[ -e "$1/lift/lifting.json" ] || sh "$here/lifting.sh" "$1/scenes" "$1/lift" "${2:-131}"
package=$(python -c "import pathlib, autocompose; print(pathlib.Path(autocompose.__file__).parent)")
cp "$1/lift/lifting.safetensors" "$package/estimate/weights/lifting.safetensors"
python -m autocompose.train.poses.cubes "$1/cubes" "${3:-23}"
python -m autocompose.train.poses.fit "$1/scenes" "$1/cubes" "$1/model"
python "$here/bundle.py" "$1/model"
