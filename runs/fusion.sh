#!/bin/sh
# Fit how the engine `auto` adds a model's cosine and the symbolic score, and store it in the model's card.
#
#   sh runs/fusion.sh MODEL CORPUS OUT [OPTIONS]
#
# MODEL is a run folder (its model.json gets the weights) or `small`; CORPUS a corpus with a validation part and texts,
# such as a demo's; OUT keeps the estimated poses, so that the next model needs only its own features. About 0.2 s a
# picture on one idle core for the poses. Run it again when the model, the parser or the lifting network has changed.
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec python -m autocompose.train.fusion.fit "$@"
