#!/bin/sh
# Make the lifting network of autocompose.estimate: render scenes, run the frozen landmark network over them, train.
#
#   sh runs/lifting.sh FOLDER OUT [WIDE] [PLAIN] [CUBES] [BENCHMARK]
#
# FOLDER keeps what was collected: WIDE files of people in all kinds of pictures, PLAIN files of people in pictures like
# BodyCPR's, and CUBES files of its edit cubes, each of 128 people and about 400 kB. The defaults, 155, 96 and 175, made
# the shipped network; they take two to three hours on one core. A run that was interrupted goes on where it stopped, and
# more files may be asked for later. OUT gets lifting.safetensors, to be copied to src/autocompose/estimate/weights, and
# lifting.json, its figures on BodyCPR's validation and test part (docs/estimation.md); BENCHMARK: only that many files of
# 16 pictures of each part.
set -eu
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
python -m autocompose.train.lifting.collect "$1" "${3:-155}" "${4:-96}" "${5:-175}" ${6:+"$6"}
python -m autocompose.train.lifting.fit "$1" "$2"
