#!/bin/sh
# Measure a list of models on one corpus and write one table: recall, robustness, speed, size and cost.
#
#   sh runs/peers.sh CORPUS OUT [--list FILE] [--cache FOLDER] [--download] [--yes]
#
# The list (runs/peers.toml) names models and banks of texts. A stopped run continues; a model whose weights are absent
# has a row that says how to get them. --download opens models whose names download weights; --yes consents to send the
# corpus' pictures to the hosts of endpoints.
set -eu
exec python -m autocompose.paper.peers "$@"
