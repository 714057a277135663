#!/bin/sh
# Make the lifting network of autocompose.estimate: render scenes, run the frozen landmark network over them, train.
#
#   sh runs/lifting.sh FOLDER OUT [FILES] [BENCHMARK]
#
# FOLDER keeps what was collected (128 rendered people and about 100 kB a file; the default, 240 files, is 30,720
# people and takes about an hour and a quarter on one idle core). A run that was interrupted goes on where it stopped,
# and more files may be asked for later. OUT gets lifting.safetensors, to be copied to src/autocompose/estimate/weights,
# and lifting.json, its figures on BodyCPR's validation and test part (docs/estimation.md); BENCHMARK: only that many
# files of 16 pictures of each part.
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
python -m autocompose.train.lifting.collect "$1" "${3:-240}" ${4:+"$4"}
python -m autocompose.train.lifting.fit "$1" "$2"
